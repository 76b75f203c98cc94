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
import type { PlanStep, Program } from './program.js';

export interface Storage {
  /** The value whose bytes these are; the value itself unless it is a view. */
  readonly owner: number;
  /** Where the view starts in the owner. */
  readonly byteOffset: number;
}

/** An intermediate is viewed in part only when the view is at least this part of it. */
const smallestPart = 1 / 4;

/** Bytes of a value on the host. */
export const byteLengthOf = (spec: TensorSpec): number => sizeOf(spec.shape) * byteSizeOf(spec.dtype);

/** The storage of every value. Program inputs (and their shards) own their bytes. */
export function storageOf(program: Program, alignment = 1): Storage[] {
  const views = viewsOf(program, alignment);
  const joined = joinPieces(program, views, alignment);
  return joined && peakOf(program, joined) <= peakOf(program, views) ? joined : views;
}

function viewsOf({ values, steps, inputs }: Program, alignment: number): Storage[] {
  const storage: Storage[] = values.map((_, owner) => ({ owner, byteOffset: 0 }));
  const written = writersOf(steps, inputs);
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

/** The step that writes each value that is no input. */
function writersOf(steps: readonly PlanStep[], inputs: readonly number[]): ReadonlyMap<number, number> {
  const writers = new Map<number, number>();
  steps.forEach(({ outputs }, i) => {
    for (const value of outputs) writers.set(value, i);
  });
  for (const value of inputs) writers.delete(value);
  return writers;
}

/**
 * Pieces that `concat` would copy one after another are written where they belong in its result: they become views of it.
 * Undefined where no concatenation allows it.
 */
function joinPieces(program: Program, views: readonly Storage[], alignment: number): Storage[] | undefined {
  const { values, steps, inputs } = program;
  const storage = [...views];
  const writers = writersOf(steps, inputs);
  let joins = 0;
  for (const step of steps) {
    const { op, inputs: pieces, outputs, attributes } = step;
    const [result] = outputs as readonly [number];
    const { axis } = attributes as { readonly axis: number };
    if (op.name !== 'concat' || values[result]!.shape.slice(0, axis).some((size) => size !== 1)) continue;
    const isFree = pieces.every((piece) => writers.has(piece) && storage[piece]!.owner === piece);
    if (!isFree || new Set(pieces).size < pieces.length) continue;
    const offsets: number[] = [];
    pieces.reduce((at, piece) => (offsets.push(at), at + byteLengthOf(values[piece]!)), 0);
    if (offsets.some((offset) => offset % alignment !== 0)) continue;
    // No step may read one piece while it writes another: some devices cannot bind the bytes for both.
    const isPiece = new Set(pieces);
    const mixes = pieces.some((piece) =>
      steps[writers.get(piece)!]!.inputs.some((value) => isPiece.has(storage[value]!.owner)),
    );
    if (mixes || pieces.some((piece) => steps[writers.get(piece)!]!.outputs.length > 1)) continue;
    pieces.forEach((piece, i) => (storage[piece] = { owner: result, byteOffset: offsets[i]! }));
    joins++;
  }
  return joins === 0 ? undefined : storage.map((_, value) => resolve(storage, value));
}

/** The last owner of a chain of views. */
function resolve(storage: readonly Storage[], value: number): Storage {
  let { owner, byteOffset } = storage[value]!;
  while (storage[owner]!.owner !== owner) {
    byteOffset += storage[owner]!.byteOffset;
    owner = storage[owner]!.owner;
  }
  return { owner, byteOffset };
}

/** Whether a step only says where bytes are, and moves none: all its outputs are views, or all its pieces lie in its output. */
export function isMoveless({ inputs, outputs, op }: PlanStep, storage: readonly Storage[]): boolean {
  const isView = (value: number): boolean =>
    storage[value]!.owner !== value && storage[value]!.owner === storage[inputs[0]!]?.owner;
  if (op.view && outputs.every(isView)) return true;
  return op.name === 'concat' && inputs.every((piece) => storage[piece]!.owner === storage[outputs[0]!]!.owner);
}

/** The most bytes of intermediates that are alive during one step. */
export function peakOf(program: Program, storage: readonly Storage[]): number {
  const { born, dies } = lifetimesOf(program, storage);
  const change = Array.from<number>({ length: program.steps.length + 2 }).fill(0);
  program.values.forEach((spec, value) => {
    if (born[value]! < 0) return;
    change[born[value]!]! += byteLengthOf(spec);
    change[dies[value]! + 1]! -= byteLengthOf(spec);
  });
  let [live, peak] = [0, 0];
  for (const bytes of change) peak = Math.max(peak, (live += bytes));
  return peak;
}

/**
 * The first and last step of each owner: written from `born` on (-1: before the run), read until `dies` (past the end for
 * outputs).
 */
export interface Lifetimes {
  readonly born: readonly number[];
  readonly dies: readonly number[];
}

export function lifetimesOf({ values, steps, outputs }: Program, storage: readonly Storage[]): Lifetimes {
  const born = values.map(() => -1);
  const dies = values.map(() => -1);
  steps.forEach((step, i) => {
    for (const value of step.inputs) dies[storage[value]!.owner] = i;
    for (const value of step.outputs) {
      const { owner } = storage[value]!;
      dies[owner] = i;
      if (born[owner] === -1 && !isMoveless(step, storage)) born[owner] = i;
    }
  });
  for (const value of outputs) dies[storage[value]!.owner] = steps.length;
  return { born, dies };
}
