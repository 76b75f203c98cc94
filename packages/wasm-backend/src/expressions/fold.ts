/**
 * The reduction of an expression: one accumulator per unrolled copy of the loop, of four lanes each.
 *
 *   sum of f32           in f64, rounded to f32 once at the end: its bits hardly depend on the order of the additions
 *   sum of i32, u32      modulo 2^32
 *   max                  NaN if any is NaN; of nothing, the lowest number of the dtype
 */
import type { DType, ReductionKind } from '@mindseye/tensor-core';
import { f32x4, f64x2, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder } from '../emit/index.js';
import type { Lanes } from '../kernels/vector-loop.js';
import type { Vector } from './node-code.js';

export interface Fold {
  /** Forgets what was added to the first `copies` accumulators. */
  start(copies: number): void;
  /** Adds four elements to the accumulator of `copy`. */
  add(copy: number, value: Vector): void;
  /** What was added to each lane of one accumulator. */
  lanes(copy: number): Vector;
  /** What was added to all lanes of all accumulators, in every lane. */
  total(): Vector;
}

/** Both orders of lanes that bring every lane to every other. */
const exchanges = [
  [2, 3, 0, 1],
  [1, 0, 3, 2],
] as const;

type Join = (a: Expression<'v128'>, b: Expression<'v128'>) => Expression<'v128'>;

/** Accumulators of 32-bit lanes. */
function foldOfWords(f: FunctionBuilder, copies: number, first: () => Expression<'v128'>, join: Join): Fold {
  const folds = Array.from({ length: copies }, (_, i) => f.local('v128', `fold${i}`));
  return {
    start: (count) => folds.slice(0, count).forEach((fold) => f.set(fold, first())),
    add: (copy, value) => f.set(folds[copy]!, join(folds[copy]!, value)),
    lanes: (copy) => folds[copy]!,
    total: () => {
      const joined = f.let('joined', folds.reduce<Expression<'v128'>>(join, first()));
      for (const order of exchanges) f.set(joined, join(joined, i32x4.shuffle(joined, joined, order)));
      return joined;
    },
  };
}

function foldOfSums(f: FunctionBuilder, copies: number): Fold {
  const parts = Array.from({ length: copies }, (_, i) => ({
    low: f.local('v128', `low${i}`),
    high: f.local('v128', `high${i}`),
  }));
  const zero = f.let('zero', i32x4.constant(0, 0, 0, 0));
  return {
    start(count) {
      for (const { low, high } of parts.slice(0, count)) for (const part of [low, high]) f.set(part, zero);
    },
    add(copy, value) {
      const { low, high } = parts[copy]!;
      f.set(low, f64x2.add(low, f64x2.promoteLowF32x4(value)));
      f.set(high, f64x2.add(high, f64x2.promoteLowF32x4(i32x4.shuffle(value, value, [2, 3, 2, 3]))));
    },
    lanes(copy) {
      const { low, high } = parts[copy]!;
      return f.let('sums', i32x4.shuffle(f32x4.demoteF64x2Zero(low), f32x4.demoteF64x2Zero(high), [0, 1, 4, 5]));
    },
    total() {
      const halves = parts.flatMap(({ low, high }) => [low, high]);
      const joined = f.let('joined', halves.reduce<Expression<'v128'>>(f64x2.add, zero));
      const both = f64x2.add(joined, i32x4.shuffle(joined, joined, [2, 3, 0, 1]));
      const rounded = f.let('rounded', f32x4.demoteF64x2Zero(both));
      return f.let('total', i32x4.shuffle(rounded, rounded, [0, 0, 0, 0]));
    },
  };
}

/** The largest by `pmax`, which is one instruction and passes over NaN; whether there was one is kept beside it. */
function foldOfLargest(f: FunctionBuilder, copies: number): Fold {
  const parts = Array.from({ length: copies }, (_, i) => ({
    largest: f.local('v128', `largest${i}`),
    unordered: f.local('v128', `unordered${i}`),
  }));
  const lowest = f.let('lowest', f32x4.constant(-Infinity));
  const none = f.let('none', i32x4.constant(0, 0, 0, 0));
  return {
    start(count) {
      for (const { largest, unordered } of parts.slice(0, count)) {
        f.set(largest, lowest);
        f.set(unordered, none);
      }
    },
    add(copy, value) {
      const { largest, unordered } = parts[copy]!;
      f.set(largest, f32x4.pmax(largest, value));
      f.set(unordered, v128.or(unordered, f32x4.ne(value, value)));
    },
    // All ones is a NaN.
    lanes: (copy) => f.let('lanes', v128.or(parts[copy]!.largest, parts[copy]!.unordered)),
    total() {
      const largest = f.let('joined', parts.map((part) => part.largest).reduce<Expression<'v128'>>(f32x4.pmax, lowest));
      const unordered = f.let('joined', parts.map((part) => part.unordered).reduce<Expression<'v128'>>(v128.or, none));
      for (const order of exchanges) {
        f.set(largest, f32x4.pmax(largest, i32x4.shuffle(largest, largest, order)));
        f.set(unordered, v128.or(unordered, i32x4.shuffle(unordered, unordered, order)));
      }
      return f.let('total', v128.or(largest, unordered));
    },
  };
}

const repeated = (value: number) => (): Expression<'v128'> => i32x4.constant(value, value, value, value);

type FoldMaker = (f: FunctionBuilder, copies: number) => Fold;
const words =
  (first: () => Expression<'v128'>, join: Join): FoldMaker =>
  (f, copies) =>
    foldOfWords(f, copies, first, join);

const makers: Readonly<Record<ReductionKind, Partial<Record<DType, FoldMaker>>>> = {
  sum: { f32: foldOfSums, i32: words(repeated(0), i32x4.add), u32: words(repeated(0), i32x4.add) },
  max: {
    f32: foldOfLargest,
    i32: words(repeated(-0x80000000), i32x4.maxSigned),
    u32: words(repeated(0), i32x4.maxUnsigned),
    bool: words(repeated(0), v128.or),
  },
};

/** Makes the accumulators of a reduction, or undefined for a dtype that has none. */
export const foldOf = (kind: ReductionKind, dtype: DType): FoldMaker | undefined => makers[kind][dtype];

/** Elements that the lanes of a single element repeat must be summed once; the largest of copies is the element. */
export const ownElements = (kind: ReductionKind, lanes: Lanes, value: Vector): Expression<'v128'> =>
  kind === 'sum' ? lanes.own(value) : value;
