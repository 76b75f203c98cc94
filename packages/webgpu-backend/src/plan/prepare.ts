/**
 * The dispatches of one step, ready but for the buffers: equal steps of all plans of a device (the layers of a model) are
 * made once.
 */
import { type Plan, type PlanStep, type TensorSpec, attributesKey, specKey } from '@mindseye/tensor-core';
import type { KernelCall } from '../kernels/kernel.js';
import { kernelOf } from '../kernels/table.js';
import type { Pipeline, PipelineCache } from '../pipelines.js';
import type { UniformBlock, UniformPool } from '../uniform-pool.js';
import { type BindingSource, foldGrid } from '../wgsl/dispatch.js';

export interface PreparedDispatch {
  /** Name of the kernel. */
  readonly name: string;
  readonly bindings: readonly BindingSource[];
  readonly pipeline: Pipeline;
  readonly uniforms: UniformBlock;
  readonly grid: readonly [x: number, y: number];
}

/** Steps kept; those used least recently fall out. */
const capacity = 4096;

export interface StepCacheOptions {
  readonly pipelines: PipelineCache;
  readonly uniforms: UniformPool;
  /** maxComputeWorkgroupsPerDimension of the device. */
  readonly largestGrid: number;
}

export class StepCache {
  readonly #options: StepCacheOptions;
  readonly #known = new Map<string, readonly PreparedDispatch[]>();

  constructor(options: StepCacheOptions) {
    this.#options = options;
  }

  /** @param overwritten for each input the output that lies on it. */
  prepare(
    { values }: Pick<Plan, 'values'>,
    { op, inputs, outputs, attributes }: PlanStep,
    overwritten: readonly (number | undefined)[],
  ): readonly PreparedDispatch[] {
    const specs = (list: readonly number[]): TensorSpec[] => list.map((value) => values[value]!);
    const call = { inputs: specs(inputs), outputs: specs(outputs) };
    const isInPlace = overwritten.some((output) => output !== undefined);
    const key = [
      op.name,
      call.inputs.map(specKey).join(),
      call.outputs.map(specKey).join(),
      isInPlace ? overwritten.join() : '',
      attributesKey(op, attributes),
    ].join('|');
    let known = this.#known.get(key);
    this.#known.delete(key); // and to the end: the most recently used
    known ??= this.#make(op.name, { ...call, attributes, ...(isInPlace && { overwritten }) });
    this.#known.set(key, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > capacity && oldest !== undefined) this.#known.delete(oldest);
    return known;
  }

  #make(name: string, call: KernelCall): PreparedDispatch[] {
    const { pipelines, uniforms, largestGrid } = this.#options;
    return kernelOf(name)!
      .lower(call)
      .filter(({ workgroups }) => workgroups > 0)
      .map((dispatch) => ({
        name: dispatch.name,
        bindings: dispatch.bindings,
        pipeline: pipelines.pipelineOf(dispatch),
        uniforms: uniforms.block(dispatch.uniforms),
        grid: foldGrid(dispatch.workgroups, largestGrid),
      }));
  }
}
