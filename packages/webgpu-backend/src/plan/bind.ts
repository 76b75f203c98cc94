/**
 * Bind groups of a plan's commands, made once and kept until a buffer behind them changes: always for intermediates, and for
 * weights and donated state too, since a donated pair keeps the donor's buffer.
 */
import type { GpuBuffer } from '../buffers.js';
import type { BoundRange, Command } from './lower.js';

/** The buffers of one run. */
export interface RunBuffers {
  readonly inputs: readonly GpuBuffer[];
  /** Roots of the outputs. */
  readonly outputs: readonly GpuBuffer[];
  readonly slabs: readonly GPUBuffer[];
  /** Changes whenever a slab was replaced. */
  readonly generation: number;
  readonly status: GPUBuffer;
}

/** A range in a buffer that the caller of a run brings, or that it gets. */
type RootRange = Exclude<Exclude<BoundRange['location'], 'status'>, { kind: 'slab' }>;

interface KeptGroup {
  group: GPUBindGroup | undefined;
  generation: number;
  /** Serials of the buffers at `roots`. */
  readonly serials: number[];
  readonly roots: readonly RootRange[];
}

export class BindGroups {
  readonly #gpu: GPUDevice;
  readonly #commands: readonly Command[];
  readonly #kept: readonly KeptGroup[];

  constructor(gpu: GPUDevice, commands: readonly Command[]) {
    this.#gpu = gpu;
    this.#commands = commands;
    this.#kept = commands.map(({ ranges }) => {
      const roots = ranges.flatMap(({ location }) =>
        location === 'status' || location.kind === 'slab' ? [] : [location],
      );
      return { group: undefined, generation: -1, serials: roots.map(() => -1), roots };
    });
  }

  /** The bind group of command `i` for the buffers of this run. */
  groupOf(i: number, buffers: RunBuffers): GPUBindGroup {
    const kept = this.#kept[i]!;
    let isStale = kept.generation !== buffers.generation;
    kept.generation = buffers.generation;
    kept.roots.forEach((root, at) => {
      const { serial } = rootOf(root, buffers);
      if (kept.serials[at] === serial) return;
      kept.serials[at] = serial;
      isStale = true;
    });
    if (isStale || !kept.group) kept.group = this.#make(this.#commands[i]!, buffers);
    return kept.group;
  }

  #make({ pipeline, uniforms, ranges }: Command, buffers: RunBuffers): GPUBindGroup {
    return this.#gpu.createBindGroup({
      layout: pipeline.layout,
      entries: [uniforms, ...ranges.map((range) => bindingOf(range, buffers))].map((resource, binding) => ({
        binding,
        resource,
      })),
    });
  }
}

const rootOf = ({ kind, position }: RootRange, { inputs, outputs }: RunBuffers): GpuBuffer =>
  (kind === 'input' ? inputs : outputs)[position]!;

/** The GPUBuffer that a location lies in. */
export function gpuBufferOf(location: Exclude<BoundRange['location'], 'status'>, buffers: RunBuffers): GPUBuffer {
  if (location.kind === 'slab') return buffers.slabs[location.slab]!;
  return rootOf(location, buffers).parts[location.kind === 'input' ? location.shard : 0]!;
}

function bindingOf({ location, size }: BoundRange, buffers: RunBuffers): GPUBufferBinding {
  if (location === 'status') return { buffer: buffers.status, size };
  return { buffer: gpuBufferOf(location, buffers), offset: location.offset, size };
}
