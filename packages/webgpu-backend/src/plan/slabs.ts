/**
 * Where intermediate values live: a slab (one GPUBuffer) and an offset for each.
 *
 * WebGPU refuses a dispatch that binds one buffer both read-only and read-write, even on ranges that do not touch. So values
 * are coloured: an output never goes into a slab that its step reads. Within the allowed slabs it takes the first gap that is
 * free over its whole life, in the slab that grows least. Most plans need three slabs; nothing limits their number.
 *
 * Where the plan lets a step write over a dying operand, the output takes over the operand's range, unless the step reads
 * something else in that slab.
 */
import type { Plan, TensorSpec } from '@mindseye/tensor-core';
import { gpuBytesOf } from '../element.js';

/** minStorageBufferOffsetAlignment of every device: views and slab ranges start at multiples of it. */
export const bindingAlignment = 256;

/** A range of a slab. */
export interface SlabRange {
  readonly slab: number;
  readonly offset: number;
}

export interface SlabLayout {
  /** For each value that owns bytes in the arena, where they are. */
  readonly ranges: readonly (SlabRange | undefined)[];
  /** Bytes of each slab, the largest first. */
  readonly slabBytes: readonly number[];
}

export interface SlabRequest {
  readonly plan: Pick<Plan, 'values' | 'steps' | 'storage' | 'lastUses'>;
  /** Whether this owner is to be placed. */
  readonly isIntermediate: (owner: number) => boolean;
  /** Whether a step may write this output over the bytes of an owner that it reads last. */
  readonly mayOverwrite: (output: number, owner: number) => boolean;
  /** No slab grows beyond, unless one value alone does. */
  readonly largestSlab: number;
}

interface LiveRange {
  owner: number;
  readonly start: number;
  readonly end: number;
}

const align = (bytes: number): number =>
  Math.max(bindingAlignment, Math.ceil(bytes / bindingAlignment) * bindingAlignment);

export function layOutSlabs({ plan, isIntermediate, mayOverwrite, largestSlab }: SlabRequest): SlabLayout {
  const { values, steps, storage, lastUses } = plan;
  const ranges: (SlabRange | undefined)[] = values.map(() => undefined);
  const live: LiveRange[][] = [];
  const slabBytes: number[] = [];

  const place = (owner: number, spec: TensorSpec, read: ReadonlySet<number>): SlabRange => {
    const size = align(gpuBytesOf(spec));
    let best = { slab: live.length, start: 0, growth: Infinity };
    for (let slab = 0; slab < live.length; slab++) {
      if (read.has(slab)) continue;
      const start = firstFit(live[slab]!, size);
      const growth = Math.max(0, start + size - slabBytes[slab]!);
      if (start + size <= largestSlab && growth < best.growth) best = { slab, start, growth };
    }
    const { slab, start } = best;
    insert((live[slab] ??= []), { owner, start, end: start + size });
    slabBytes[slab] = Math.max(slabBytes[slab] ?? 0, start + size);
    return { slab, offset: start };
  };

  steps.forEach(({ inputs, outputs }, i) => {
    const readOwners = [...new Set(inputs.map((value) => storage[value]!.owner))];
    /** Owners whose bytes are read, by slab; those that an output lies on are bound for writing only. */
    const readIn = (slab: number): number[] => readOwners.filter((owner) => ranges[owner]?.slab === slab);
    const overwritten = new Set<number>();
    const waiting: number[] = [];
    for (const output of outputs) {
      if (storage[output]!.owner !== output || !isIntermediate(output)) continue;
      const under = readOwners.find(
        (owner) =>
          ranges[owner] !== undefined &&
          !overwritten.has(owner) &&
          mayOverwrite(output, owner) &&
          readIn(ranges[owner].slab).length === 1,
      );
      if (under === undefined) {
        waiting.push(output);
        continue;
      }
      overwritten.add(under);
      ranges[output] = ranges[under]!;
      live[ranges[output].slab]!.find(({ owner }) => owner === under)!.owner = output;
    }
    const read = new Set(
      readOwners.flatMap((owner) => (overwritten.has(owner) ? [] : (ranges[owner]?.slab ?? []))),
    );
    for (const output of waiting) ranges[output] = place(output, values[output]!, read);
    const dead = new Set(lastUses[i]);
    for (const slab of live)
      for (let at = slab.length - 1; at >= 0; at--) if (dead.has(slab[at]!.owner)) slab.splice(at, 1);
  });
  return largestFirst(ranges, slabBytes);
}

/** Slabs in order of size: plans share slabs by number, so that their large ones lie on each other. */
function largestFirst(ranges: readonly (SlabRange | undefined)[], slabBytes: readonly number[]): SlabLayout {
  const order = slabBytes.map((_, slab) => slab).sort((a, b) => slabBytes[b]! - slabBytes[a]!);
  const numbers = new Map(order.map((slab, number) => [slab, number]));
  return {
    ranges: ranges.map((range) => range && { ...range, slab: numbers.get(range.slab)! }),
    slabBytes: order.map((slab) => slabBytes[slab]!),
  };
}

/** Lowest start of a gap of `size` bytes between ranges sorted by start. */
function firstFit(ranges: readonly LiveRange[], size: number): number {
  let start = 0;
  for (const range of ranges) {
    if (range.start - start >= size) return start;
    start = Math.max(start, range.end);
  }
  return start;
}

function insert(ranges: LiveRange[], range: LiveRange): void {
  const at = ranges.findIndex(({ start }) => start > range.start);
  ranges.splice(at < 0 ? ranges.length : at, 0, range);
}
