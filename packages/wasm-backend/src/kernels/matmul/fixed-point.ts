/**
 * Rows of f32 as whole numbers that byte dot products (integer-dot.ts) take: what few rows of x become before they meet a
 * quantised matrix.
 *
 * A run of 64 or 32 columns ("unit") has one step, a power of two, and every number becomes the nearest multiple of it:
 *
 *   x ≈ step · q,   |q| ≤ 2^MAGNITUDE,   step = 2^(e + 1 − MAGNITUDE),   2^e ≤ max|x| < 2^(e + 1) over the unit
 *   |x − step · q| ≤ step / 2 ≤ 2^−MAGNITUDE · max|x|
 *
 * with MAGNITUDE 22 against codes of 4 bits and 19 against codes of 8. Steps end at 2^−126. q is held as three digits in
 * vectors of bytes, the highest first:
 *
 *   4 bits   q = (h · 256 + m) · 256 + l,            digits −128 … 127, which meet codes 0 … 15
 *   8 bits   q + 2^19 = (h · 128 + m) · 128 + l,     digits    0 … 127, which meet codes less 128
 *
 * A dot product of four bytes adds to a lane. Per lane the sum of q meets the code that stands for 0; it is kept ready as
 * "start", `codeShift` times the sum of q over the lane's columns. Record of a unit, then sums of all units:
 *
 *   digits i8 [3][places][halves][16]   start i32 [halves][4]   step f32     padded to a multiple of 32 bytes
 *   sums   f32 [units]                  step · Σ q
 *
 * `halves` vectors of codes lie side by side and are computed side by side; `places` are the codes that share a byte (4 bits),
 * or the second 32 bytes of a unit (8 bits). So a product with the record reads codes and digits front to back.
 */
import { f32x4, i32, i32x4, i8x16, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../../emit/index.js';
import type { CodeBits } from '../dequantize.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { vectorConstant } from '../vector-loop.js';
import { integerDot } from './integer-dot.js';

/** How the columns of a unit lie in vectors. */
export interface Unit {
  readonly bits: CodeBits;
  readonly columns: 64 | 32;
  readonly places: 1 | 2;
  readonly halves: 1 | 2;
  readonly codeBytes: number;
  readonly recordBytes: number;
  /** From the start of a record to its start vectors, and to its step. */
  readonly startAt: number;
  readonly stepAt: number;
}

export const DIGITS = 3;
const VECTOR_BYTES = 16;
const MAGNITUDE: Readonly<Record<CodeBits, number>> = { 4: 22, 8: 19 };
/** Bits of a digit, and what is added to q before it is taken apart. */
export const DIGIT_BITS: Readonly<Record<CodeBits, number>> = { 4: 8, 8: 7 };
const DIGIT_OFFSET: Readonly<Record<CodeBits, number>> = { 4: 0, 8: 2 ** MAGNITUDE[8] };
/** The same in units of the highest digit. */
export const HIGHEST_OFFSET: number = DIGIT_OFFSET[8] / 2 ** (2 * DIGIT_BITS[8]);

function makeUnit(bits: CodeBits, columns: 64 | 32): Unit {
  const codeBytes = (columns * bits) / 8;
  const halves = codeBytes >= 2 * VECTOR_BYTES ? 2 : 1;
  const places = (columns / (VECTOR_BYTES * halves)) as 1 | 2;
  const startAt = DIGITS * columns;
  const stepAt = startAt + VECTOR_BYTES * halves;
  const recordBytes = Math.ceil((stepAt + F32_BYTES) / 32) * 32;
  return { bits, columns, places, halves, codeBytes, recordBytes, startAt, stepAt };
}

export const UNITS: readonly Unit[] = ([4, 8] as const).flatMap((bits) =>
  ([64, 32] as const).map((columns) => makeUnit(bits, columns)),
);

/** The unit that divides a row and its groups. */
export const unitFor = (bits: CodeBits, columns: number, groupSize: number): Unit =>
  UNITS.find((unit) => unit.bits === bits && columns % unit.columns === 0 && groupSize % unit.columns === 0)!;

export const unitName = ({ bits, columns }: Unit): string => `${bits}_${columns}`;

/** Bytes from a row to the next, and from the start of one to its sums. */
export const fixedRowBytes = (unit: Unit, columns: number): number =>
  sumsAt(unit, columns) + Math.ceil(columns / unit.columns / 8) * 32;
export const sumsAt = (unit: Unit, columns: number): number => (columns / unit.columns) * unit.recordBytes;

/** Bytes from the start of a record to the digits `digit` of a place and half. */
export const digitsAt = ({ columns, halves }: Unit, digit: number, place: number, half: number): number =>
  digit * columns + VECTOR_BYTES * (place * halves + half);

export const fixedPointName = (unit: Unit): string => `fixedPoint_${unitName(unit)}`;

const PARAMETERS = { a: 'i32', into: 'i32', sums: 'i32', columns: 'i32', codeShift: 'i32' } as const;
/** Adding this to a number of at most 2^22 leaves the nearest whole number in the low bits. */
const ROUNDING = 1.5 * 2 ** 23;
const INFINITY_BITS = 0x7f80_0000;

/**
 * Emits one function per unit, (a, into, sums, columns, codeShift): 0, or 1 where a number is infinite or NaN and the record
 * means nothing.
 */
export function emitFixedPoint({ module, tier }: KernelContext): void {
  for (const unit of UNITS) {
    const signature = { name: fixedPointName(unit), parameters: PARAMETERS, result: 'i32', exported: true } as const;
    module.function(signature, (f, p) => {
      const [offset, digitBits] = [DIGIT_OFFSET[unit.bits], DIGIT_BITS[unit.bits]];
      const magnitude = f.let('magnitude', i32x4.splat(0x7fff_ffff));
      const rounding = vectorConstant(f, 'rounding', ROUNDING);
      const ones = f.let('ones', i32x4.splat(0x0101_0101));
      const dot = integerDot(f, tier);
      const codeShift = f.let('codeShift', i32x4.splat(p.codeShift));
      const [failed, exponent] = [f.local('i32', 'failed'), f.local('i32', 'exponent')];
      f.countDown(p.columns, unit.columns, () => {
        const largest = largestBits(f, p.a, unit.columns, magnitude);
        f.set(failed, i32.or(failed, i32.geUnsigned(largest, INFINITY_BITS)));
        f.set(exponent, i32.sub(i32.shrUnsigned(largest, 23), MAGNITUDE[unit.bits] - 1));
        f.if(i32.ltSigned(exponent, 1), () => f.set(exponent, 1));
        const step = f.let('step', i32x4.splat(i32.shl(exponent, 23)));
        const inverse = f.let('inverse', i32x4.splat(i32.shl(i32.sub(254, exponent), 23)));
        // The product is exact but for what is too small to count.
        const fixed = (at: number): Local<'v128'> => {
          const rounded = f32x4.add(f32x4.mul(v128.load(p.a, at), inverse), rounding);
          return f.let('fixed', i32x4.sub(rounded, rounding));
        };
        const columnsOfLane = 4 * unit.places;
        const starts = Array.from({ length: unit.halves }, (_, half) => {
          const sums = Array.from({ length: DIGITS }, () => f.let('sum', i32x4.constant(0, 0, 0, 0)));
          quadsOf(f, unit, half, fixed).forEach((quads, place) => {
            writeDigits(f, unit, quads, (digit, bytes) => {
              const stored = f.let('bytes', bytes);
              f.do(v128.store(p.into, stored, digitsAt(unit, digit, place, half)));
              const [signed, small] = unit.bits === 4 ? [stored, ones] : [ones, stored];
              f.set(sums[digit]!, dot(signed, small, sums[digit]!));
            });
          });
          const [highest, middle, lowest] = sums as [Local<'v128'>, Local<'v128'>, Local<'v128'>];
          const upper = i32x4.add(i32x4.shl(highest, digitBits), middle);
          const total = i32x4.add(i32x4.shl(upper, digitBits), lowest);
          return f.let('total', i32x4.sub(total, i32x4.splat(columnsOfLane * offset)));
        });
        starts.forEach((start, half) =>
          f.do(v128.store(p.into, i32x4.mul(start, codeShift), unit.startAt + VECTOR_BYTES * half)),
        );
        const lanes = unit.halves === 1 ? starts[0]! : f.let('lanes', i32x4.add(starts[0]!, starts[1]!));
        const sum = f32x4.mul(f32x4.convertI32x4Signed(reduceLanes(f, lanes, i32x4.add)), step);
        f.do(v128.store32Lane(p.into, step, 0, unit.stepAt), v128.store32Lane(p.sums, sum, 0));
        f.set(p.a, i32.add(p.a, unit.columns * F32_BYTES));
        f.set(p.into, i32.add(p.into, unit.recordBytes));
        f.set(p.sums, i32.add(p.sums, F32_BYTES));
      });
      f.return(failed);
    });
  }
}

/** The bits of the largest magnitude of a run; those of infinities and NaN are the largest of all. */
function largestBits(f: FunctionBuilder, a: Local<'i32'>, count: number, magnitude: Local<'v128'>): Local<'i32'> {
  const largest = f.let('largest', v128.and(v128.load(a), magnitude));
  for (let at = 16; at < count * F32_BYTES; at += 16)
    f.set(largest, i32x4.maxSigned(largest, v128.and(v128.load(a, at), magnitude)));
  return f.let('largest', i32x4.extractLane(reduceLanes(f, largest, i32x4.maxSigned), 0));
}

/** Combines the lanes of a vector; every lane of the result holds the total. */
function reduceLanes(f: FunctionBuilder, value: Local<'v128'>, combine: typeof i32x4.add): Local<'v128'> {
  const half = f.let('half', combine(value, i32x4.shuffle(value, value, [2, 3, 0, 1])));
  return f.let('all', combine(half, i32x4.shuffle(half, half, [1, 0, 3, 2])));
}

type Quad = readonly Local<'v128'>[];

/** For each place: four vectors, whose sixteen lanes are the bytes of a vector of digits. */
function quadsOf(
  f: FunctionBuilder,
  { bits, places, halves }: Unit,
  half: number,
  fixed: (at: number) => Local<'v128'>,
): readonly Quad[] {
  const four = Array.from({ length: 4 }, (_, i) => i);
  if (bits === 8)
    return Array.from({ length: places }, (_, place) => four.map((i) => fixed(64 * (place * halves + half) + 16 * i)));
  const pairs = four.map((i) => [fixed(128 * half + 32 * i), fixed(128 * half + 32 * i + 16)] as const);
  return [
    [0, 2, 4, 6],
    [1, 3, 5, 7],
  ].map((lanes) => pairs.map(([left, right]) => f.let('lanes', i32x4.shuffle(left, right, lanes))));
}

const LOW_BYTES = [0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28];
const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

/** Takes sixteen numbers apart, the lowest digit first. */
function writeDigits(
  f: FunctionBuilder,
  { bits }: Unit,
  quad: Quad,
  use: (digit: number, bytes: Expression<'v128'>) => void,
): void {
  const digitBits = DIGIT_BITS[bits];
  // A signed digit rounds to the nearest multiple of the next, an unsigned one down.
  const carry = f.let('carry', i32x4.splat(bits === 4 ? 2 ** (digitBits - 1) : 0));
  const offset = i32x4.splat(DIGIT_OFFSET[bits]);
  const kept = f.let('kept', i32x4.splat(bits === 4 ? -1 : 0x7f7f_7f7f));
  let rest = bits === 4 ? quad : quad.map((four) => f.let('rest', i32x4.add(four, offset)));
  for (let digit = DIGITS - 1; digit >= 0; digit -= 1) {
    const [a, b, c, d] = rest as [Local<'v128'>, Local<'v128'>, Local<'v128'>, Local<'v128'>];
    const eights = [i8x16.shuffle(a, b, LOW_BYTES), i8x16.shuffle(c, d, LOW_BYTES)] as const;
    use(digit, v128.and(i8x16.shuffle(...eights, LOW_HALVES), kept));
    if (digit > 0) rest = rest.map((four) => f.let('rest', i32x4.shrSigned(i32x4.add(four, carry), digitBits)));
  }
}
