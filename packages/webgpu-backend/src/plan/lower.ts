/** A plan as GPU commands: each step's dispatches with pipelines, uniform blocks and places of their operands. */
import type { Plan, PlanGuard, PlanStep } from '@mindseye/tensor-core';
import { gpuBytesOf, wordBytes } from '../element.js';
import { WebGpuError } from '../errors.js';
import type { Pipeline } from '../pipelines.js';
import { statusBytes } from '../status.js';
import type { UniformBlock } from '../uniform-pool.js';
import type { BindingSource } from '../wgsl/dispatch.js';
import { type Location, type PlanLocations, locate } from './locations.js';
import type { PreparedDispatch, StepCache } from './prepare.js';

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
  readonly steps: StepCache;
  readonly limits: Readonly<Record<'maxBufferSize', number>>;
  /** Whether a run that finds a bad index is rejected. */
  readonly rejectsFaults: boolean;
}

export function lowerPlan(plan: Plan, { steps, limits, rejectsFaults }: LoweringContext): LoweredPlan {
  const locationsFor = (protectsDonors: boolean): PlanLocations =>
    locate(plan, { protectsDonors, largestSlab: limits.maxBufferSize });
  const prepare = (located: PlanLocations): (readonly PreparedDispatch[])[] =>
    plan.steps.map((step) => steps.prepare(plan, step, overwrittenIn(step, located)));

  // Which kernels check indices does not depend on where their operands lie; whether donors are kept depends on the former.
  let located = locationsFor(rejectsFaults);
  let prepared = prepare(located);
  const checksIndices = prepared.some((list) =>
    list.some(({ bindings }) => bindings.some(({ kind }) => kind === 'status')),
  );
  if (rejectsFaults && !checksIndices && !plan.guards.some(isUnchecked)) {
    located = locationsFor(false);
    prepared = prepare(located);
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
    prepared[i]!.map(({ name, bindings, pipeline, uniforms, grid }): Command => {
      const ranges = bindings.map((source) => rangeOf(step, source));
      checkBindings(name, ranges);
      return { pipeline, uniforms, ranges, grid };
    }),
  );
  return { ...located, commands, checksIndices };
}

/** Whether no step checks what a guard asks: its op runs as primitives or in parts, which take any index. */
export const isUnchecked = ({ step }: PlanGuard): boolean => step === undefined;

/** For each input of a step the output that lies on it. */
const overwrittenIn = ({ inputs, outputs }: PlanStep, { locations }: PlanLocations): (number | undefined)[] =>
  inputs.map((input) => {
    const output = outputs.findIndex((value) => sameLocation(locations[value]!, locations[input]!));
    return output < 0 ? undefined : output;
  });

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
