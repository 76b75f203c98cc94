/**
 * One to four rows of x in whole numbers (fixed-point.ts) times rows of a quantised matrix, codes as they lie:
 *
 *   y[i, j] = Σ over units (step_i · scale_j) · Σ over columns q_i (code_j − zero)  +  Σ over units offset_j · sum_i
 *
 * The inner sum is whole: three dot products of bytes per vector of codes, one for each digit, shifted and added in 32 bits,
 * which hold it (255 · 2^19 and 15 · 2^22 times 16 columns of a lane stay below 2^31). So a lane is rounded once per unit when
 * it becomes f32, once by its factor and once where it is added; no tier fuses them, and all have the same bits.
 *
 * Codes of 8 bits are taken less 128 and digits with 2^19 added, which the sum of the codes takes away again.
 */
import { f32, f32x4, i16x8, i32, i32x4, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { Accumulators, forEachVector, single } from '../vector-loop.js';
import { DIGITS, DIGIT_BITS, HIGHEST_OFFSET, type Unit, digitsAt, unitName } from './fixed-point.js';
import { type IntegerDot, integerDot } from './integer-dot.js';

/** Rows of x that are taken at once, the most first: their sums and a vector of codes fit the registers. */
export const BLOCK_ROWS: readonly number[] = [4, 2, 1];

/**
 * While a chunk of codes is computed with, the next one is fetched: a word of each cache line is read in one go. Otherwise the
 * instructions that a processor looks ahead over hold few lines, and it would wait for memory and compute by turns.
 */
const CHUNK_BYTES = 512;
const LINE_BYTES = 64;

/** Bytes that a block needs for itself. */
export const SLOT_BYTES: number = 32 * Math.max(...BLOCK_ROWS);

const PARAMETERS = {
  /** Rows of fixed point, bytes between them, and from the start of one to its sums. */
  x: 'i32',
  xStride: 'i32',
  sumsAt: 'i32',
  codes: 'i32',
  /** Behind the codes of these rows and of those that come after them. */
  codesEnd: 'i32',
  /** f32 [rows, units]. */
  scales: 'i32',
  /** The same, or 0. */
  offsets: 'i32',
  /** f32 [rows of x, ..], bytes between them. */
  c: 'i32',
  cStride: 'i32',
  rows: 'i32',
  columns: 'i32',
  /** `SLOT_BYTES` of memory. */
  slot: 'i32',
} as const;

type Block = FunctionReference<'void'>;

/** Emits one function for each of `BLOCK_ROWS`. */
export function emitRowBlocks(context: KernelContext, unit: Unit): readonly Block[] {
  return BLOCK_ROWS.map((m) => emitRowBlock(context, unit, m));
}

function emitRowBlock({ module, tier }: KernelContext, unit: Unit, m: number): Block {
  const name = `quantizedRowBlock_${unitName(unit)}_${m}`;
  return module.function({ name, parameters: PARAMETERS, result: 'void', exported: false }, (f, p) => {
    const nothing = f.let('nothing', i32x4.constant(0, 0, 0, 0));
    const dot = integerDot(f, tier);
    const decode = decoder(f, unit);
    const highestOffset = f.let('highestOffset', i32x4.splat(HIGHEST_OFFSET * 0x0101_0101));
    const units = f.let('units', i32.divUnsigned(p.columns, unit.columns));
    const halves = Array.from({ length: unit.halves }, (_, half) => half);
    const rows = Array.from({ length: m }, () => ({
      record: f.local('i32', 'record'),
      sums: f.local('i32', 'sums'),
      totals: halves.map(() => f.local('v128', 'total')),
      bias: new Accumulators(f, 'bias', 1),
    }));
    const [remaining, output] = [f.local('i32', 'remaining'), f.local('i32', 'output')];
    const [chunk, touched] = [f.local('i32', 'chunk'), f.local('i32', 'touched')];
    const chunkUnits = CHUNK_BYTES / unit.codeBytes;
    // Signed beyond the last chunk, so that a matrix of less is never touched.
    const lastTouch = f.let('lastTouch', i32.sub(p.codesEnd, 2 * CHUNK_BYTES));
    f.countDown(p.rows, 1, () => {
      rows.forEach(({ record, sums, totals }, i) => {
        f.set(record, i === 0 ? p.x : i32.add(p.x, i32.mul(p.xStride, i)));
        f.set(sums, i32.add(record, p.sumsAt));
        for (const total of totals) f.set(total, nothing);
      });
      f.set(remaining, units);
      f.loop((nextChunk) => {
        f.set(chunk, chunkUnits);
        f.if(i32.ltUnsigned(remaining, chunk), () => f.set(chunk, remaining));
        f.set(remaining, i32.sub(remaining, chunk));
        f.if(i32.eqz(i32.gtSigned(p.codes, lastTouch)), () => {
          for (let at = 0; at < CHUNK_BYTES; at += LINE_BYTES)
            f.set(touched, i32.or(touched, i32.load(p.codes, CHUNK_BYTES + at)));
        });
        f.countDown(chunk, 1, () => {
          const codes = decode(p.codes);
          const correction = unit.bits === 8 ? sumOfCodes(f, codes, highestOffset, nothing, dot) : undefined;
          const scale = f.let('scale', f32.load(p.scales));
          for (const { record, totals } of rows) {
            const sums = halves.map((half) => {
              const start = correction ? correction[half]! : nothing;
              return wholeSum(
                f,
                unit,
                half,
                { record, codes: codes.map((place) => place[half]!), start, nothing },
                dot,
              );
            });
            const factor = f.let('factor', f32x4.splat(f32.mul(f32.load(record, unit.stepAt), scale)));
            const floats = sums.map((sum) => f.let('float', f32x4.convertI32x4Signed(sum)));
            const scaled = floats.map((float) => f.let('scaled', f32x4.mul(float, factor)));
            totals.forEach((total, half) => f.set(total, f32x4.add(total, scaled[half]!)));
            f.set(record, i32.add(record, unit.recordBytes));
          }
          f.set(p.codes, i32.add(p.codes, unit.codeBytes));
          f.set(p.scales, i32.add(p.scales, F32_BYTES));
        });
        f.branchIf(nextChunk, remaining);
      });
      for (const { bias } of rows) bias.fill(nothing);
      f.if(p.offsets, () => {
        const cursors = [p.offsets, ...rows.map(({ sums }) => sums)];
        forEachVector(f, { cursors, count: units, unroll: 1 }, (lanes) => {
          const offset = f.let('offset', lanes.own(lanes.load(p.offsets)));
          for (const { sums, bias } of rows) {
            const product = f32x4.mul(offset, lanes.own(lanes.load(sums)));
            f.set(bias.of(0), f32x4.add(bias.of(0), product));
          }
        });
      });
      // Stores side by side are where V8 begins to join vectors: halves meet in memory, not in registers.
      rows.forEach(({ totals }, i) =>
        totals.forEach((total, half) => f.do(v128.store(p.slot, total, 16 * (i * unit.halves + half)))),
      );
      f.set(output, p.c);
      rows.forEach(({ bias }, i) => {
        for (const half of halves)
          f.set(bias.of(0), f32x4.add(bias.of(0), v128.load(p.slot, 16 * (i * unit.halves + half))));
        f.do(single.store(output, bias.sum()));
        f.set(output, i32.add(output, p.cStride));
      });
      f.set(p.c, i32.add(p.c, F32_BYTES));
    });
    // What is read must be used, or it would not be read.
    f.do(i32.store(p.slot, touched));
  });
}

/** Codes of a unit as bytes that dot products take, by place and half. */
type Codes = readonly (readonly Local<'v128'>[])[];

function decoder(f: FunctionBuilder, { bits, places, halves }: Unit): (codes: Local<'i32'>) => Codes {
  const vectors = (codes: Local<'i32'>, place: number): Local<'v128'>[] =>
    Array.from({ length: halves }, (_, half) => f.let('codes', v128.load(codes, 16 * (place * halves + half))));
  const each = (of: readonly Local<'v128'>[], change: (vector: Local<'v128'>) => Expression<'v128'>): Local<'v128'>[] =>
    of.map((vector) => f.let('decoded', change(vector)));
  if (bits === 8) {
    const signs = f.let('signs', i32x4.splat(0x8080_8080 | 0));
    return (codes) =>
      Array.from({ length: places }, (_, place) => each(vectors(codes, place), (vector) => v128.xor(vector, signs)));
  }
  const nibbles = f.let('nibbles', i32x4.splat(0x0f0f_0f0f));
  return (codes) => {
    const pairs = vectors(codes, 0);
    const shifted = each(pairs, (pair) => i16x8.shrUnsigned(pair, 4));
    return [pairs, shifted].map((of) => each(of, (vector) => v128.and(vector, nibbles)));
  };
}

/** What the offset of the digits adds to their sums, negated and in units of the highest digit, by half. */
function sumOfCodes(
  f: FunctionBuilder,
  codes: Codes,
  highestOffset: Local<'v128'>,
  nothing: Local<'v128'>,
  dot: IntegerDot,
): readonly Local<'v128'>[] {
  let sums: readonly Local<'v128'>[] = codes[0]!.map(() => nothing);
  for (const place of codes) sums = place.map((vector, half) => f.let('sum', dot(vector, highestOffset, sums[half]!)));
  return sums.map((sum) => f.let('negative', i32x4.sub(nothing, sum)));
}

interface Operands {
  readonly record: Local<'i32'>;
  /** By place. */
  readonly codes: readonly Local<'v128'>[];
  /** Added in units of the highest digit. */
  readonly start: Local<'v128'>;
  readonly nothing: Local<'v128'>;
}

/**
 * Σ q (code − zero) over the columns of each lane of a half. Each digit has a sum of its own, though one could go on from the
 * other: a processor that waits for a long chain of dot products has no room to begin the next unit's.
 */
function wholeSum(
  f: FunctionBuilder,
  unit: Unit,
  half: number,
  { record, codes, start, nothing }: Operands,
  dot: IntegerDot,
): Local<'v128'> {
  const zeroCode = f.let('zeroCode', v128.load(record, unit.startAt + 16 * half));
  const starts = [start, ...Array.from({ length: DIGITS - 2 }, () => nothing), zeroCode];
  const sums = starts.map((first, digit) => {
    let sum = first;
    codes.forEach((code, place) => {
      const digits = v128.load(record, digitsAt(unit, digit, place, half));
      sum = f.let('sum', unit.bits === 4 ? dot(digits, code, sum) : dot(code, digits, sum));
    });
    return sum;
  });
  return sums.reduce((upper, lower) => f.let('sum', i32x4.add(i32x4.shl(upper, DIGIT_BITS[unit.bits]), lower)));
}
