/**
 * Random shapes and host values for property tests.
 *
 * Shapes shrink towards scalars and length 1. Elements come from a named range and a seed, so that a counterexample is
 * small to print, large tensors are cheap, and the same seed gives the same elements again.
 */
import fc from 'fast-check';
import { type DType, allocateHost, encoderOf } from '../dtype.js';
import type { HostTensor } from '../op.js';
import { RandomStream } from '../random/random-stream.js';
import { type Shape, sizeOf } from '../shape.js';

export interface ShapeOptions {
  readonly minRank?: number;
  readonly maxRank?: number;
  readonly minLength?: number;
  /** Largest size of one axis. */
  readonly maxLength?: number;
  /** Largest number of elements. */
  readonly maxSize?: number;
}

/** The size of one axis; 0 (where allowed) and 1 are drawn more often than chance. */
export function arbitraryLength({ minLength = 0, maxLength = 6 }: ShapeOptions = {}): fc.Arbitrary<number> {
  const corners = [0, 1].filter((length) => length >= minLength && length <= maxLength);
  const any = fc.integer({ min: minLength, max: maxLength });
  return fc.oneof(
    { weight: 7, arbitrary: any },
    ...corners.map((length) => ({ weight: 1, arbitrary: fc.constant(length) })),
  );
}

/** A shape of any rank from scalar to `maxRank`, empty axes included unless `minLength` forbids them. */
export function arbitraryShape(options: ShapeOptions = {}): fc.Arbitrary<number[]> {
  const { minRank = 0, maxRank = 4, maxSize = 4096 } = options;
  return fc
    .array(arbitraryLength(options), { minLength: minRank, maxLength: maxRank })
    .filter((shape) => sizeOf(shape) <= maxSize);
}

/**
 * `count` shapes that broadcast together: each is the common shape with some axes cut to 1 and some leading axes dropped.
 */
export function arbitraryBroadcastShapes(count: number, options: ShapeOptions = {}): fc.Arbitrary<number[][]> {
  return arbitraryShape(options).chain((common) => {
    const kept = fc.tuple(
      fc.array(fc.boolean(), { minLength: common.length, maxLength: common.length }),
      fc.nat(common.length),
    );
    return fc
      .array(kept, { minLength: count, maxLength: count })
      .map((operands) => operands.map(([keep, drop]) => common.map((size, i) => (keep[i] ? size : 1)).slice(drop)));
  });
}

/** Two shapes that broadcast together. */
export const arbitraryBroadcastPair = (options: ShapeOptions = {}): fc.Arbitrary<[number[], number[]]> =>
  arbitraryBroadcastShapes(2, options).map(([a, b]) => [a!, b!]);

const signed = (stream: RandomStream, magnitude: number): number => (stream.uniform() < 0.5 ? -magnitude : magnitude);
const corners = [0, -0, 1, -1, 0.5, 2];
const extremes = [
  Number.NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  1.1754943508222875e-38,
  1.401298464324817e-45,
];

/** Where elements are drawn from; see the table. */
export type ValueRange =
  | 'ordinary'
  | 'positive'
  | 'nonzero'
  | 'moderate'
  | 'scores'
  | 'wide'
  | 'special'
  | 'small'
  | 'evenGrid'
  | 'oddGrid'
  | 'words'
  | 'bits';

const ranges: Readonly<Record<ValueRange, (stream: RandomStream) => number>> = {
  /** −2 to 2. */
  ordinary: (stream) => stream.uniform(-2, 2),
  /** 0.1 to 3. */
  positive: (stream) => stream.uniform(0.1, 3),
  /** Away from 0 on both sides. */
  nonzero: (stream) => signed(stream, stream.uniform(0.3, 2)),
  /** Magnitudes from 1e-3 to 1e3, with small whole numbers between. */
  moderate: (stream) => (stream.uniform() < 0.2 ? stream.choice(corners) : signed(stream, 10 ** stream.uniform(-3, 3))),
  /** Moderate, now and then -Infinity: scores with masked places. */
  scores: (stream) => (stream.uniform() < 0.3 ? -Infinity : signed(stream, 10 ** stream.uniform(-2, 2))),
  /** All magnitudes of f32. */
  wide: (stream) => (stream.uniform() < 0.2 ? stream.choice(corners) : signed(stream, 10 ** stream.uniform(-37, 37))),
  /** Wide, with NaN, infinities, subnormals and the largest numbers. */
  special: (stream) => (stream.uniform() < 0.3 ? stream.choice(extremes) : ranges.wide(stream)),
  /** Whole numbers from −3 to 3: ties everywhere. */
  small: (stream) => stream.integer(7) - 3,
  /** Multiples of ½, and the same moved by ¼: two operands of these never come close. */
  evenGrid: (stream) => (stream.integer(9) - 4) / 2,
  oddGrid: (stream) => (stream.integer(9) - 4) / 2 + 0.25,
  /** Any 32-bit word, as signed or unsigned. */
  words: (stream) => stream.bits(),
  /** 0 or 1. */
  bits: (stream) => stream.integer(2),
};

/** A host value of `dtype` whose elements come from `range`, the same for the same seed. f16 and bf16 are rounded to. */
export function seededValue(shape: Shape, dtype: DType, range: ValueRange, seed: number): HostTensor {
  const stream = RandomStream.fromSeed(seed);
  const data = allocateHost(dtype, sizeOf(shape));
  const encode = dtype === 'bool' ? (value: number) => (value > 0 ? 1 : 0) : encoderOf(dtype);
  for (let i = 0; i < data.length; i++) data[i] = encode(ranges[range](stream));
  return { shape, dtype, data };
}

/** A seed for `seededValue`; not shrunk, since a smaller seed is not a simpler value. */
export const arbitrarySeed = (): fc.Arbitrary<number> => fc.noShrink(fc.nat());

/** A host value of the given spec. */
export const arbitraryValue = (
  shape: Shape,
  dtype: DType = 'f32',
  range: ValueRange = 'ordinary',
): fc.Arbitrary<HostTensor> => arbitrarySeed().map((seed) => seededValue(shape, dtype, range, seed));

/** A host value of any shape. */
export const arbitraryTensor = (
  dtype: DType = 'f32',
  range: ValueRange = 'ordinary',
  options: ShapeOptions = {},
): fc.Arbitrary<HostTensor> => arbitraryShape(options).chain((shape) => arbitraryValue(shape, dtype, range));

/** A host value with all elements different by at least 0.1, in random order: no ties for `max`. */
export function arbitraryDistinct(shape: Shape): fc.Arbitrary<HostTensor> {
  return arbitrarySeed().map((seed) => {
    const size = sizeOf(shape);
    const order = RandomStream.fromSeed(seed).shuffle(Array.from({ length: size }, (_, i) => i));
    return { shape, dtype: 'f32', data: Float32Array.from(order, (place) => (place - size / 2) * 0.1) };
  });
}

/** i32 indices of `shape` from 0 to `bound` − 1. */
export const arbitraryIndices = (shape: Shape, bound: number): fc.Arbitrary<HostTensor> =>
  arbitrarySeed().map((seed) => {
    const stream = RandomStream.fromSeed(seed);
    return { shape, dtype: 'i32', data: Int32Array.from({ length: sizeOf(shape) }, () => stream.integer(bound)) };
  });

/** A random seed operand: two u32 words. */
export const arbitrarySeedWords = (): fc.Arbitrary<HostTensor> => arbitraryValue([2], 'u32', 'words');
