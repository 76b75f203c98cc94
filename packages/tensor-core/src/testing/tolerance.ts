/**
 * How far apart two arrays may be, and a message that says where they first are too far.
 *
 * An element a agrees with its expected value e when they are equal (NaN equals NaN), or
 *   |a − e| ≤ absolute + relative·|e|,   or   a and e are at most `ulps` f32 numbers apart.
 * With `norm` the array is judged as a whole instead: ‖a − e‖₂ ≤ norm·‖e‖₂ + absolute·√n over the finite elements,
 * infinities and NaN still one by one. Sums of many terms are compared by norm, single operations by ulps.
 */
import { type DType, type HostArray, decoderOf } from '../dtype.js';
import type { HostTensor } from '../op.js';
import { formatShape, sameShape } from '../shape.js';

export interface Tolerance {
  readonly absolute?: number;
  readonly relative?: number;
  /** Units in the last place of f32. */
  readonly ulps?: number;
  readonly norm?: number;
}

/** Everything equal, bit for bit (but for the sign of zero and the payload of NaN). */
export const exact: Tolerance = {};

/** What two correct engines may differ by in one operation. */
export const defaultTolerances: Readonly<Record<DType, Tolerance>> = {
  f32: { absolute: 1e-6, relative: 1e-5 },
  f16: { absolute: 1e-6, relative: 2 ** -10 },
  bf16: { absolute: 1e-6, relative: 2 ** -7 },
  i32: exact,
  u32: exact,
  bool: exact,
};

/** Two arrays that should agree do not. */
export class MismatchError extends Error {
  override readonly name = 'MismatchError';
}

export interface Mismatch {
  /** First offending element in row-major order. */
  readonly index: number;
  readonly actual: number;
  readonly expected: number;
  /** How many elements disagree. */
  readonly count: number;
}

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);

/** Place of an f32 number in the order of all f32 numbers, so that neighbours differ by 1 and both zeros are 0. */
function ordinal(value: number): number {
  floats[0] = value;
  const bits = words[0]!;
  return bits >= 0x80000000 ? 0x80000000 - bits : bits;
}

/** How many f32 numbers lie between two values rounded to f32, counting one end; Infinity when either is NaN. */
export const ulpDistance = (a: number, b: number): number =>
  Number.isNaN(a) || Number.isNaN(b) ? Infinity : Math.abs(ordinal(a) - ordinal(b));

function agrees(actual: number, expected: number, { absolute = 0, relative = 0, ulps = 0 }: Tolerance): boolean {
  if (actual === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return true;
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return false;
  return (
    Math.abs(actual - expected) <= absolute + relative * Math.abs(expected) ||
    (ulps > 0 && ulpDistance(actual, expected) <= ulps)
  );
}

/** The first element where two arrays of numbers disagree; undefined when there is none. */
export function findMismatch(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
): Mismatch | undefined {
  const whole = tolerance.norm !== undefined && normAgrees(actual, expected, tolerance);
  let first: Mismatch | undefined;
  let count = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (agrees(a, e, tolerance) || (whole && Number.isFinite(a) && Number.isFinite(e))) continue;
    count++;
    first ??= { index: i, actual: a, expected: e, count };
  }
  return first && { ...first, count };
}

function normAgrees(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance): boolean {
  let [difference, size, count] = [0, 0, 0];
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (!Number.isFinite(a) || !Number.isFinite(e)) continue;
    difference += (a - e) ** 2;
    size += e * e;
    count++;
  }
  return Math.sqrt(difference) <= tolerance.norm! * Math.sqrt(size) + (tolerance.absolute ?? 0) * Math.sqrt(count);
}

/** True when the arrays agree everywhere. */
export const allClose = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance = defaultTolerances.f32,
): boolean => actual.length === expected.length && findMismatch(actual, expected, tolerance) === undefined;

/** The index along each axis of an element counted in row-major order. */
function positionOf(index: number, shape: readonly number[]): number[] {
  const position: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    position.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return position;
}

/** Numbers of a host array, f16 and bf16 decoded. */
const numbersOf = (data: HostArray, dtype: DType): ArrayLike<number> =>
  dtype === 'f16' || dtype === 'bf16' ? Array.from(data, decoderOf(dtype)) : data;

/**
 * Throws a `MismatchError` unless shape, dtype and elements agree.
 *
 * @param what names the value in the message.
 * @param tolerance the default of the expected dtype when left out.
 */
export function assertClose(
  actual: HostTensor,
  expected: HostTensor,
  what: string,
  tolerance: Tolerance = defaultTolerances[expected.dtype],
): void {
  const describe = ({ dtype, shape }: HostTensor): string => `${dtype}${formatShape(shape)}`;
  if (actual.dtype !== expected.dtype || !sameShape(actual.shape, expected.shape))
    throw new MismatchError(`${what} is ${describe(actual)}, expected ${describe(expected)}`);
  const [got, wanted] = [numbersOf(actual.data, actual.dtype), numbersOf(expected.data, expected.dtype)];
  if (got.length !== wanted.length)
    throw new MismatchError(`${what} has ${got.length} elements, expected ${wanted.length}`);
  const mismatch = findMismatch(got, wanted, tolerance);
  if (!mismatch) return;
  const { index, count } = mismatch;
  const difference = Math.abs(mismatch.actual - mismatch.expected);
  throw new MismatchError(
    `${what}, ${describe(expected)}: element ${formatShape(positionOf(index, expected.shape))} is ${mismatch.actual}, ` +
      `expected ${mismatch.expected} (off by ${difference.toExponential(2)}, ` +
      `${ulpDistance(mismatch.actual, mismatch.expected)} ulps); ${count} of ${wanted.length} elements disagree ` +
      `under ${JSON.stringify(tolerance)}`,
  );
}
