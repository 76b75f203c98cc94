/**
 * Whose bytes a value is: its own, or part of another value's.
 *
 * Ops that only rename or pick consecutive elements (`op.view`: reshape, barrier, row slices) move no bytes; their output is
 * a view of its owner. A view starts where the device can bind it, and a small view of a large intermediate is a copy after
 * all: it would keep the whole owner alive.
 */
import { byteSizeOf } from '../dtype.js';
import { sizeOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';
import type { Program } from './program.js';

export interface Storage {
  /** The value whose bytes these are; the value itself unless it is a view. */
  readonly owner: number;
  /** Where the view starts in the owner. */
  readonly byteOffset: number;
}

/** An intermediate is viewed in part only when the view is at least this part of it. */
const smallestPart = 1 / 4;

export const byteLengthOf = (spec: TensorSpec): number => sizeOf(spec.shape) * byteSizeOf(spec.dtype);

/** The storage of every value. Program inputs (and their shards) own their bytes. */
export function storageOf({ values, steps, inputs }: Program, alignment = 1): Storage[] {
  const storage: Storage[] = values.map((_, owner) => ({ owner, byteOffset: 0 }));
  const written = new Set(steps.flatMap(({ outputs }) => outputs));
  for (const value of inputs) written.delete(value);
  for (const { op, inputs: from, outputs, attributes } of steps) {
    const offset = op.view?.(
      from.map((value) => values[value]!),
      attributes,
    );
    if (offset === undefined) continue;
    const [source, result] = [from[0]!, outputs[0]!];
    const { owner, byteOffset } = storage[source]!;
    const [spec, ownerSpec] = [values[result]!, values[owner]!];
    const isWorthIt = !written.has(owner) || byteLengthOf(spec) >= byteLengthOf(ownerSpec) * smallestPart;
    if (spec.dtype !== ownerSpec.dtype || (byteOffset + offset) % alignment !== 0 || !isWorthIt) continue;
    storage[result] = { owner, byteOffset: byteOffset + offset };
  }
  return storage;
}

/** The first and last step of each owner: written at `born` (-1 before the run), read until `dies` (past the end for outputs). */
export interface Lifetimes {
  readonly born: readonly number[];
  readonly dies: readonly number[];
}

export function lifetimesOf({ values, steps, outputs }: Program, storage: readonly Storage[]): Lifetimes {
  const born = values.map(() => -1);
  const dies = values.map(() => -1);
  steps.forEach((step, i) => {
    for (const value of step.outputs) if (storage[value]!.owner === value) born[value] = dies[value] = i;
    for (const value of step.inputs) dies[storage[value]!.owner] = i;
  });
  for (const value of outputs) dies[storage[value]!.owner] = steps.length;
  return { born, dies };
}
