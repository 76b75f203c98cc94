/**
 * Where intermediate values live: a slab (one GPUBuffer) and an offset for each.
 *
 * WebGPU refuses a dispatch that binds one buffer both read-only and read-write, even on ranges that do not touch. So values
 * are coloured: an output never goes into a slab that its step reads. Within the allowed slabs it takes the first gap that is
 * free over its whole life, in the slab that grows least. Most plans need three slabs; nothing limits their number.
 *
 * Ops that only rename a value (reshape, stopGradient, barrier) move no bytes: their output *is* their input here.
 */
import type { Plan, PlanStep, TensorSpec } from '@mindseye/tensor-core';
import { gpuBytesOf } from '../element.js';

/** minStorageBufferOffsetAlignment of every device. */
const alignment = 256;

/** A plan input (by position), or a range of a slab. */
export type Location =
  | { readonly kind: 'input'; readonly position: number }
  | { readonly kind: 'slab'; readonly slab: number; readonly offset: number };

export interface SlabLayout {
  /** Location of every value of the plan. */
  readonly locations: readonly Location[];
  /** Bytes of each slab. */
  readonly slabBytes: readonly number[];
}

interface LiveRange {
  readonly value: number;
  readonly start: number;
  readonly end: number;
}

type Planned = Pick<Plan, 'values' | 'inputs' | 'steps' | 'outputs'>;

const align = (bytes: number): number => Math.max(alignment, Math.ceil(bytes / alignment) * alignment);

/** For each value the one whose bytes it shares: itself, unless its op only renames. */
export function storageOwners({ values, steps }: Planned, renames: (step: PlanStep) => boolean): number[] {
  const owners = values.map((_, value) => value);
  for (const step of steps) if (renames(step)) owners[step.outputs[0]!] = owners[step.inputs[0]!]!;
  return owners;
}

export function layOutSlabs(plan: Planned, owners: readonly number[], largestSlab: number): SlabLayout {
  const { values, inputs, steps } = plan;
  const dies = lastReads(plan, owners);
  const locations: (Location | undefined)[] = values.map(() => undefined);
  inputs.forEach((value, position) => (locations[value] ??= { kind: 'input', position }));
  const live: LiveRange[][] = [];
  const slabBytes: number[] = [];

  const place = (value: number, spec: TensorSpec, read: ReadonlySet<number>): Location => {
    const size = align(gpuBytesOf(spec));
    let best = { slab: live.length, start: 0, growth: Infinity };
    for (let slab = 0; slab < live.length; slab++) {
      if (read.has(slab)) continue;
      const start = firstFit(live[slab]!, size);
      const growth = Math.max(0, start + size - slabBytes[slab]!);
      if (start + size <= largestSlab && growth < best.growth) best = { slab, start, growth };
    }
    const { slab, start } = best;
    const ranges = (live[slab] ??= []);
    ranges.push({ value, start, end: start + size });
    ranges.sort((a, b) => a.start - b.start);
    slabBytes[slab] = Math.max(slabBytes[slab] ?? 0, start + size);
    return { kind: 'slab', slab, offset: start };
  };

  steps.forEach((step, i) => {
    const read = new Set<number>();
    for (const value of step.inputs) {
      const location = locations[owners[value]!]!;
      if (location.kind === 'slab') read.add(location.slab);
    }
    for (const value of step.outputs)
      if (owners[value] === value) locations[value] = place(value, values[value]!, read);
    for (const ranges of live)
      for (let at = ranges.length - 1; at >= 0; at--) if (dies[ranges[at]!.value]! <= i) ranges.splice(at, 1);
  });
  return { locations: values.map((_, value) => locations[owners[value]!]!), slabBytes };
}

/** The last step that reads a value's bytes under any name; past the end for outputs of the plan. */
function lastReads({ values, steps, outputs }: Planned, owners: readonly number[]): number[] {
  const dies = values.map(() => -1);
  steps.forEach((step, i) => {
    for (const value of [...step.outputs, ...step.inputs]) dies[owners[value]!] = i;
  });
  for (const value of outputs) dies[owners[value]!] = steps.length;
  return dies;
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
