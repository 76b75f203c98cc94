/**
 * Where intermediate values live: a slab (one GPUBuffer) and an offset for each owner of bytes.
 *
 * WebGPU refuses a dispatch that binds one buffer both read-only and read-write, even on ranges that do not touch. So owners
 * are coloured: no two share a slab of which a step reads one and writes the other. (An owner may be written by several
 * steps, each a piece of it.) Within the allowed slabs an owner takes the first gap that is free over its whole life, in the
 * slab that grows least. Most plans need three slabs; nothing limits their number.
 *
 * Where the plan lets a step write over a dying operand, the output takes over the operand's range, unless that would break
 * the rule for something else.
 */
import type { Plan } from '@mindseye/tensor-core';
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
  const apart = ownersApart(plan, isIntermediate);
  const live: LiveRange[][] = [];
  const slabBytes: number[] = [];

  /** Slabs of owners that must lie apart from this one; `except` is going to be overwritten by it. */
  const forbiddenFor = (owner: number, except?: number): Set<number> =>
    new Set([...(apart.get(owner) ?? [])].flatMap((other) => (other === except ? [] : (ranges[other]?.slab ?? []))));

  const place = (owner: number): SlabRange => {
    const size = align(gpuBytesOf(values[owner]!));
    const forbidden = forbiddenFor(owner);
    let best = { slab: live.length, start: 0, growth: Infinity };
    for (let slab = 0; slab < live.length; slab++) {
      if (forbidden.has(slab)) continue;
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
    const read = new Set(inputs.map((value) => storage[value]!.owner));
    const free = new Set(lastUses[i]!.filter((owner) => read.has(owner) && ranges[owner] !== undefined));
    const waiting: number[] = [];
    for (const output of outputs) {
      const { owner } = storage[output]!;
      if (ranges[owner] || !isIntermediate(owner)) continue;
      const under = [...free].find(
        (other) => mayOverwrite(owner, other) && !forbiddenFor(owner, other).has(ranges[other]!.slab),
      );
      if (under === undefined) {
        waiting.push(owner);
        continue;
      }
      free.delete(under);
      ranges[owner] = ranges[under]!;
      live[ranges[owner].slab]!.find((range) => range.owner === under)!.owner = owner;
    }
    for (const owner of new Set(waiting)) ranges[owner] = place(owner);
    const dead = new Set(lastUses[i]);
    for (const slab of live)
      for (let at = slab.length - 1; at >= 0; at--) if (dead.has(slab[at]!.owner)) slab.splice(at, 1);
  });
  return largestFirst(ranges, slabBytes);
}

/** For each owner those that a step reads while it writes the owner, or writes while it reads it. */
function ownersApart(
  { steps, storage }: SlabRequest['plan'],
  isIntermediate: SlabRequest['isIntermediate'],
): ReadonlyMap<number, ReadonlySet<number>> {
  const apart = new Map<number, Set<number>>();
  const add = (owner: number, other: number): unknown =>
    (apart.get(owner) ?? apart.set(owner, new Set()).get(owner)!).add(other);
  const ownersOf = (list: readonly number[]): Set<number> =>
    new Set(list.map((value) => storage[value]!.owner).filter(isIntermediate));
  for (const { inputs, outputs } of steps) {
    const read = ownersOf(inputs);
    for (const written of ownersOf(outputs)) {
      for (const other of read) {
        add(written, other);
        add(other, written);
      }
    }
  }
  return apart;
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
