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
  const offsets: (number | undefined)[] = values.map(() => undefined);
  const live: { readonly value: number; readonly start: number; readonly end: number }[] = [];
  let byteLength = 0;
  let peakStep = 0;
  steps.forEach((step, i) => {
    for (const value of step.outputs) {
      const size = align(sizeOf(values[value]!.shape) * byteSizeOf(values[value]!.dtype));
      if (isInput.has(value)) continue;
      const start = firstFit(live, size);
      offsets[value] = start;
      live.push({ value, start, end: start + size });
      live.sort((a, b) => a.start - b.start);
      if (start + size > byteLength) [byteLength, peakStep] = [start + size, i];
    }
    for (let at = live.length - 1; at >= 0; at--) if (dies[live[at]!.value]! <= i) live.splice(at, 1);
  });
  return { offsets, byteLength, peakStep, lastUses };
}

const align = (bytes: number): number => Math.ceil(bytes / arenaAlignment) * arenaAlignment;

/** Lowest start of a gap of `size` bytes between live ranges sorted by start. */
function firstFit(live: readonly { readonly start: number; readonly end: number }[], size: number): number {
  let start = 0;
  for (const range of live) {
    if (range.start - start >= size && size > 0) return start;
    start = Math.max(start, range.end);
  }
  return start;
}
