/** A plan as GPU commands: each step's dispatches with pipelines, uniform blocks and places of their operands. */
import type { Plan, PlanStep, TensorSpec } from '@mindseye/tensor-core';
import { gpuBytesOf, wordBytes } from '../element.js';
import { WebGpuError } from '../errors.js';
import { kernelOf } from '../kernels/table.js';
import type { Pipeline, PipelineCache } from '../pipelines.js';
import { statusBytes } from '../status.js';
import type { UniformBlock, UniformPool } from '../uniform-pool.js';
import { type BindingSource, type Dispatch, foldGrid } from '../wgsl/dispatch.js';
import { type Location, type PlanLocations, locate } from './locations.js';

/** A storage binding: the bytes of a value, or the status words. */
export interface BoundRange {
  readonly location: Location | 'status';
  readonly size: number;
  readonly isWritten: boolean;
}

export interface Command {
  readonly pipeline: Pipeline;
  readonly uniforms: UniformBlock;
  readonly ranges: readonly BoundRange[];
  readonly grid: readonly [x: number, y: number];
}

export interface LoweredPlan extends PlanLocations {
  readonly commands: readonly Command[];
  /** True when some kernel writes the status words. */
  readonly checksIndices: boolean;
}

export interface LoweringContext {
  readonly pipelines: PipelineCache;
  readonly uniforms: UniformPool;
  readonly limits: Readonly<Record<'maxBufferSize' | 'maxComputeWorkgroupsPerDimension', number>>;
  /** Whether a run that finds a bad index is rejected. */
  readonly rejectsFaults: boolean;
}

export function lowerPlan(plan: Plan, { pipelines, uniforms, limits, rejectsFaults }: LoweringContext): LoweredPlan {
  const locationsFor = (protectsDonors: boolean): PlanLocations =>
    locate(plan, { protectsDonors, largestSlab: limits.maxBufferSize });
  const dispatchesFor = (located: PlanLocations): Dispatch[][] =>
    plan.steps.map((step) => dispatchesOf(plan, step, overwrittenIn(step, located)));

  // Which kernels check indices does not depend on where their operands lie; whether donors are kept depends on the former.
  let located = locationsFor(rejectsFaults);
  let dispatches = dispatchesFor(located);
  const checksIndices = dispatches.some((list) =>
    list.some(({ bindings }) => bindings.some(({ kind }) => kind === 'status')),
  );
  if (rejectsFaults && !checksIndices) {
    located = locationsFor(false);
    dispatches = dispatchesFor(located);
  }

  const rangeOf = (step: PlanStep, source: BindingSource): BoundRange => {
    if (source.kind === 'status') return { location: 'status', size: statusBytes, isWritten: true };
    const value = (source.kind === 'input' ? step.inputs : step.outputs)[source.index]!;
    return {
      location: located.locations[value]!,
      size: Math.max(wordBytes, gpuBytesOf(plan.values[value]!)),
      isWritten: source.kind === 'output',
    };
  };
  const commands = plan.steps.flatMap((step, i) =>
    dispatches[i]!.map((dispatch): Command => {
      const ranges = dispatch.bindings.map((source) => rangeOf(step, source));
      checkBindings(dispatch.name, ranges);
      return {
        pipeline: pipelines.pipelineOf(dispatch),
        uniforms: uniforms.block(dispatch.uniforms),
        ranges,
        grid: foldGrid(dispatch.workgroups, limits.maxComputeWorkgroupsPerDimension),
      };
    }),
  );
  return { ...located, commands, checksIndices };
}

/** For each input of a step the output that lies on it. */
const overwrittenIn = ({ inputs, outputs }: PlanStep, { locations }: PlanLocations): (number | undefined)[] =>
  inputs.map((input) => {
    const output = outputs.findIndex((value) => sameLocation(locations[value]!, locations[input]!));
    return output < 0 ? undefined : output;
  });

function dispatchesOf(
  { values }: Plan,
  { op, inputs, outputs, attributes }: PlanStep,
  overwritten: readonly (number | undefined)[],
): Dispatch[] {
  const specs = (list: readonly number[]): TensorSpec[] => list.map((value) => values[value]!);
  const isInPlace = overwritten.some((output) => output !== undefined);
  const dispatches = kernelOf(op.name)!.lower({
    inputs: specs(inputs),
    outputs: specs(outputs),
    attributes,
    ...(isInPlace && { overwritten }),
  });
  return dispatches.filter(({ workgroups }) => workgroups > 0);
}

/** A name for each buffer that a plan can bind. */
function bufferOf(location: Location | 'status'): string {
  if (location === 'status') return 'status';
  if (location.kind === 'slab') return `slab ${location.slab}`;
  return `${location.kind} ${location.position}${location.kind === 'input' ? `.${location.shard}` : ''}`;
}

const sameLocation = (a: Location, b: Location): boolean => bufferOf(a) === bufferOf(b) && a.offset === b.offset;

/** WebGPU's rules for the bindings of one dispatch, checked here because its own message names no op. */
export function checkBindings(name: string, ranges: readonly BoundRange[]): void {
  const bound = ranges.map(({ location, size, isWritten }) => {
    const start = location === 'status' ? 0 : location.offset;
    return { buffer: bufferOf(location), start, end: start + size, isWritten };
  });
  bound.forEach((a, i) => {
    for (const b of bound.slice(i + 1)) {
      if (a.buffer !== b.buffer || !(a.isWritten || b.isWritten)) continue;
      const overlaps = a.start < b.end && b.start < a.end;
      if (a.isWritten !== b.isWritten || overlaps)
        throw new WebGpuError(
          'validation',
          `${name}: ${a.buffer} is bound twice, once for writing: a defect of the plan or of this package`,
        );
    }
  });
}
