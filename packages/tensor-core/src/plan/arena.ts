/**
 * Arena layout: a byte offset for every intermediate value, so that values alive at the same time never overlap.
 *
 * A value is alive from the step that writes it to the last step that reads it. Values are placed in the order they are
 * born, each at the lowest offset that is free over its whole life (first fit). Offsets are multiples of 256 bytes, which
 * every device accepts as a binding offset. Outputs live here too until the run ends.
 */
import { byteSizeOf } from '../dtype.js';
import { sizeOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

export const arenaAlignment = 256;

export interface ArenaLayout {
  /** Offset of each value in bytes; undefined for plan inputs, which live elsewhere. */
  readonly offsets: readonly (number | undefined)[];
  readonly byteLength: number;
  /** The step during which the arena is fullest. */
  readonly peakStep: number;
  /** For each step, the values that no later step reads. */
  readonly lastUses: readonly (readonly number[])[];
}

interface Range {
  readonly start: number;
  readonly end: number;
}

interface Lifetimes {
  readonly values: readonly TensorSpec[];
  readonly steps: readonly { readonly inputs: readonly number[]; readonly outputs: readonly number[] }[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

export function layOutArena({ values, steps, inputs, outputs }: Lifetimes): ArenaLayout {
  const born = values.map(() => -1);
  const dies = values.map(() => -1);
  steps.forEach((step, i) => {
    for (const value of step.outputs) born[value] = dies[value] = i;
    for (const value of step.inputs) dies[value] = i;
  });
  for (const value of outputs) dies[value] = steps.length;
  const lastUses: number[][] = steps.map(() => []);
  dies.forEach((step, value) => lastUses[step]?.push(value));

  const isInput = new Set(inputs);
  const sizes = values.map(({ shape, dtype }) => align(sizeOf(shape) * byteSizeOf(dtype)));
  const offsets: (number | undefined)[] = values.map(() => undefined);
  const live: Range[] = []; // sorted by start
  let byteLength = 0;
  let peakStep = 0;
  steps.forEach((step, i) => {
    for (const value of step.outputs) {
      const size = sizes[value]!;
      if (isInput.has(value)) continue;
      if (size === 0) {
        offsets[value] = 0;
        continue;
      }
      const { start, place } = firstFit(live, size);
      offsets[value] = start;
      live.splice(place, 0, { start, end: start + size });
      if (start + size > byteLength) [byteLength, peakStep] = [start + size, i];
    }
    for (const value of lastUses[i]!) {
      const start = offsets[value];
      if (start !== undefined && sizes[value]! > 0) live.splice(placeOf(live, start), 1);
    }
  });
  return { offsets, byteLength, peakStep, lastUses };
}

const align = (bytes: number): number => Math.ceil(bytes / arenaAlignment) * arenaAlignment;

/** Lowest start of a gap of `size` bytes between live ranges, and where a range there keeps them sorted. */
function firstFit(live: readonly Range[], size: number): { readonly start: number; readonly place: number } {
  let start = 0;
  for (let place = 0; place < live.length; place++) {
    const range = live[place]!;
    if (range.start - start >= size) return { start, place };
    start = range.end;
  }
  return { start, place: live.length };
}

/** The place of the live range that starts at `start`, by halving. */
function placeOf(live: readonly Range[], start: number): number {
  let [low, high] = [0, live.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (live[middle]!.start < start) low = middle + 1;
    else high = middle;
  }
  return low;
}
