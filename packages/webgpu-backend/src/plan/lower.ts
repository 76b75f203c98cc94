/** A plan as GPU commands: each step's dispatches with pipelines, uniform blocks and places of their operands. */
import type { Plan, PlanStep } from '@mindseye/tensor-core';
import { gpuBytesOf } from '../element.js';
import { kernelOf } from '../kernels/table.js';
import { type Kernel, renaming } from '../kernels/kernel.js';
import type { Pipeline, PipelineCache } from '../pipelines.js';
import type { UniformBlock, UniformPool } from '../uniform-pool.js';
import { type BindingSource, type Dispatch, foldGrid } from '../wgsl/dispatch.js';
import { type Location, type SlabLayout, layOutSlabs, storageOwners } from './slabs.js';

/** A storage binding: a range of a plan input or slab, or the status words. */
export type BoundRange = { readonly location: Location | 'status'; readonly size: number };

export interface Command {
  readonly pipeline: Pipeline;
  readonly uniforms: UniformBlock;
  readonly ranges: readonly BoundRange[];
  readonly grid: readonly [x: number, y: number];
}

export interface LoweredPlan {
  readonly commands: readonly Command[];
  readonly layout: SlabLayout;
  /** True when some kernel writes the status words. */
  readonly checksIndices: boolean;
}

export interface LoweringContext {
  readonly pipelines: PipelineCache;
  readonly uniforms: UniformPool;
  readonly limits: Readonly<Record<'maxBufferSize' | 'maxComputeWorkgroupsPerDimension', number>>;
}

const isRenaming = (step: PlanStep): boolean => kernelOf(step.op.name) === renaming;

export function lowerPlan(plan: Plan, { pipelines, uniforms, limits }: LoweringContext): LoweredPlan {
  const layout = layOutSlabs(plan, storageOwners(plan, isRenaming), limits.maxBufferSize);
  const rangeOf = (step: PlanStep, source: BindingSource): BoundRange => {
    if (source.kind === 'status') return { location: 'status', size: 16 };
    const value = (source.kind === 'input' ? step.inputs : step.outputs)[source.index]!;
    return { location: layout.locations[value]!, size: Math.max(4, gpuBytesOf(plan.values[value]!)) };
  };
  const commandOf = (step: PlanStep, dispatch: Dispatch): Command => ({
    pipeline: pipelines.pipelineOf(dispatch),
    uniforms: uniforms.block(dispatch.uniforms),
    ranges: dispatch.bindings.map((source) => rangeOf(step, source)),
    grid: foldGrid(dispatch.workgroups, limits.maxComputeWorkgroupsPerDimension),
  });
  const commands = plan.steps.flatMap((step) =>
    dispatchesOf(plan, step)
      .filter(({ workgroups }) => workgroups > 0)
      .map((dispatch) => commandOf(step, dispatch)),
  );
  const checksIndices = commands.some(({ ranges }) => ranges.some(({ location }) => location === 'status'));
  return { commands, layout, checksIndices };
}

function dispatchesOf({ values }: Plan, { op, inputs, outputs, attributes }: PlanStep): readonly Dispatch[] {
  const kernel = kernelOf(op.name) as Kernel | typeof renaming;
  if (kernel === renaming) return [];
  return kernel.lower({
    inputs: inputs.map((value) => values[value]!),
    outputs: outputs.map((value) => values[value]!),
    attributes,
  });
}
