/**
 * Resampling of pictures of u32 pixels along one axis, exactly: the op `resamplePixels` of tensor-core.
 *
 *   x [lines, length, trail] → y [lines, out, trail], in each of the four bytes of a pixel
 *   y[l, i, t] = clip8((2^(B-1) + sum over j of x[l, starts[i] + j, t] weights[i, j]) >> B), sums modulo 2^32
 *
 * Two taps go through one 16-bit multiply-add (`arranged-taps.ts`).
 *
 *   across   trail = 1: a vector is one pixel, its channels side by side; some lines share the weights they load
 *   along    trail > 1: a vector is four neighbours of a row, and rows of x are the taps
 */
import { i16x8, i32, i8x16, v128 } from '../emit/index.js';
import type { Expression, Local } from '../emit/index.js';
import type { Parts } from './arranged-taps.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { NONE, TapSums, clipped, halfOf } from './tap-sums.js';

type Vector = Local<'v128'>;

/** Lines that go across together. */
const LINES = 4;
/** Products that are worth a part of the work of their own. */
const GRAIN = 2 ** 15;

/** Offsets in bytes, sizes in pixels. */
export interface ResampleArguments {
  /** u32 [lines, length, trail] */
  readonly x: number;
  /** u32 [lines, out, trail], written. */
  readonly y: number;
  /** i32 [out], each at least 0 and at most length - taps. */
  readonly starts: number;
  /** The words of `arrangeTaps`. */
  readonly words: number;
  readonly parts: Parts;
  readonly bits: number;
  readonly taps: number;
  readonly lines: number;
  readonly length: number;
  readonly out: number;
  readonly trail: number;
}

/** Resampling of pictures. */
export interface ResampleKernels {
  resample(operands: ResampleArguments): void;
}

/** Bytes of pixels p and q, the rest of their vector zero, as 16-bit pairs (p, q) channel by channel. */
const BESIDE = [0, 8, 4, 8, 1, 8, 5, 8, 2, 8, 6, 8, 3, 8, 7, 8];
const BELOW = [0, 4, 16, 4, 1, 4, 17, 4, 2, 4, 18, 4, 3, 4, 19, 4];
const FIRST_HALF = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
const SECOND_HALF = [8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31];

const name = (way: 'across' | 'along', parts: Parts): string => `resample_${way}_${parts}`;

/** Emits both ways for one and two parts. */
export function emitResample(context: KernelContext): void {
  for (const parts of [1, 2] as const) {
    emitAcross(context, parts);
    emitAlong(context, parts);
  }
}

function emitAcross({ module }: KernelContext, parts: Parts): void {
  const parameters = {
    y: 'i32',
    x: 'i32',
    starts: 'i32',
    words: 'i32',
    bits: 'i32',
    taps: 'i32',
    length: 'i32',
    out: 'i32',
    lines: 'i32',
  } as const;
  module.function({ name: name('across', parts), parameters, result: 'void', exported: true }, (f, p) => {
    const half = halfOf(f, p.bits);
    const [start, word, left, taps, to] = ['start', 'word', 'left', 'tapsLeft', 'to'].map((key) =>
      f.local('i32', key),
    ) as unknown as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const lineBytes = f.let('lineBytes', i32.shl(p.length, 2));
    const outBytes = f.let('outBytes', i32.shl(p.out, 2));
    const at = Array.from({ length: LINES }, (_, i) => f.local('i32', `at${i}`));
    for (const lines of [LINES, 1]) {
      const sums = new TapSums(f, parts, lines);
      const from = at.slice(0, lines);
      const pairs = (load: (cursor: Local<'i32'>) => Expression<'v128'>): readonly Vector[] =>
        from.map((cursor) => {
          const pixels = f.let('pixels', load(cursor));
          return f.let('pair', i8x16.shuffle(pixels, pixels, BESIDE));
        });
      f.countDown(p.lines, lines, () => {
        f.set(start, p.starts);
        f.set(word, p.words);
        f.set(left, p.out);
        f.set(to, p.y);
        f.countDown(left, 1, () => {
          const first = f.let('first', i32.add(p.x, i32.shl(i32.load(start), 2)));
          from.forEach((cursor, i) => f.set(cursor, i === 0 ? first : i32.add(from[i - 1]!, lineBytes)));
          sums.start(half);
          f.set(taps, p.taps);
          f.countDown(taps, 2, () => {
            sums.add(word, pairs(v128.load64Zero));
            for (const cursor of from) f.set(cursor, i32.add(cursor, 2 * F32_BYTES));
          });
          f.if(taps, () => sums.add(word, pairs(v128.load32Zero)));
          const target = f.let('target', to);
          const pixels = f.let('resampled', clipped(sums.totals(p.bits)));
          for (let line = 0; line < lines; line++) {
            f.do(v128.store32Lane(target, pixels, line));
            f.set(target, i32.add(target, outBytes));
          }
          f.set(start, i32.add(start, F32_BYTES));
          f.set(to, i32.add(to, F32_BYTES));
        });
        f.set(p.x, i32.add(p.x, i32.mul(lineBytes, lines)));
        f.set(p.y, i32.add(p.y, i32.mul(outBytes, lines)));
      });
    }
  });
}

/** `first` and `count` are rows of y, numbered through all lines. */
function emitAlong({ module }: KernelContext, parts: Parts): void {
  const parameters = {
    y: 'i32',
    x: 'i32',
    starts: 'i32',
    words: 'i32',
    bits: 'i32',
    taps: 'i32',
    length: 'i32',
    out: 'i32',
    trail: 'i32',
    first: 'i32',
    count: 'i32',
  } as const;
  module.function({ name: name('along', parts), parameters, result: 'void', exported: true }, (f, p) => {
    const half = halfOf(f, p.bits);
    const rowBytes = f.let('rowBytes', i32.shl(p.trail, 2));
    const wordBytes = f.let('wordBytes', i32.mul(i32.shrUnsigned(i32.add(p.taps, 1), 1), parts * F32_BYTES));
    const lineBytes = f.let('lineBytes', i32.mul(p.length, rowBytes));
    const [line, row] = [f.let('line', i32.divUnsigned(p.first, p.out)), f.let('row', i32.remUnsigned(p.first, p.out))];
    const to = f.let('to', i32.add(p.y, i32.mul(p.first, rowBytes)));
    const [words, word, from, upper, left, taps] = ['words', 'word', 'from', 'upper', 'left', 'tapsLeft'].map((key) =>
      f.local('i32', key),
    ) as unknown as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const four = new TapSums(f, parts, 4);
    const one = new TapSums(f, parts, 1);
    /** Four neighbours in two rows as 16-bit pairs, pixel by pixel. */
    const fourPairs = (above: Expression<'v128'>, below: Expression<'v128'>): readonly Vector[] => {
      const [a, b] = [f.let('above', above), f.let('below', below)];
      return [FIRST_HALF, SECOND_HALF].flatMap((lanes) => {
        const bytes = f.let('bytes', i8x16.shuffle(a, b, lanes));
        return [
          f.let('pair', i16x8.extendLowI8x16Unsigned(bytes)),
          f.let('pair', i16x8.extendHighI8x16Unsigned(bytes)),
        ];
      });
    };
    const onePair = (above: Expression<'v128'>, below: Expression<'v128'>): readonly Vector[] => [
      f.let('pair', i8x16.shuffle(above, below, BELOW)),
    ];
    const column = (
      sums: TapSums,
      load: (cursor: Local<'i32'>) => Expression<'v128'>,
      pairs: (above: Expression<'v128'>, below: Expression<'v128'>) => readonly Vector[],
    ): void => {
      f.set(upper, from);
      f.set(word, words);
      sums.start(half);
      f.set(taps, p.taps);
      f.countDown(taps, 2, () => {
        const lower = f.let('lower', i32.add(upper, rowBytes));
        sums.add(word, pairs(load(upper), load(lower)));
        f.set(upper, i32.add(lower, rowBytes));
      });
      f.if(taps, () => sums.add(word, pairs(load(upper), NONE)));
    };
    f.countDown(p.count, 1, () => {
      f.set(words, i32.add(p.words, i32.mul(row, wordBytes)));
      const start = i32.load(i32.add(p.starts, i32.shl(row, 2)));
      f.set(from, i32.add(i32.add(p.x, i32.mul(line, lineBytes)), i32.mul(start, rowBytes)));
      f.set(left, p.trail);
      f.countDown(left, 4, () => {
        column(four, v128.load, fourPairs);
        f.do(v128.store(to, clipped(four.totals(p.bits))));
        f.set(from, i32.add(from, 16));
        f.set(to, i32.add(to, 16));
      });
      f.countDown(left, 1, () => {
        column(one, v128.load32Zero, onePair);
        f.do(v128.store32Lane(to, clipped(one.totals(p.bits)), 0));
        f.set(from, i32.add(from, F32_BYTES));
        f.set(to, i32.add(to, F32_BYTES));
      });
      f.set(row, i32.add(row, 1));
      f.if(i32.eq(row, p.out), () => {
        f.set(row, 0);
        f.set(line, i32.add(line, 1));
      });
    });
  });
}

/** Binds both ways; they divide the lines, or the rows of y. */
export function bindResample(host: KernelHost): ResampleKernels {
  const kernelsOf = (way: 'across' | 'along') =>
    ({ 1: host.kernel(name(way, 1)), 2: host.kernel(name(way, 2)) }) as const;
  const [across, along] = [kernelsOf('across'), kernelsOf('along')];
  return {
    resample({ x, y, starts, words, parts, bits, taps, lines, length, out, trail }) {
      for (const [key, value] of Object.entries({ taps, lines, length, out, trail }))
        host.checkSize(`resample ${key}`, value);
      host.checkRange('resample x', x, lines * length * trail);
      host.checkRange('resample y', y, lines * out * trail);
      host.checkRange('resample starts', starts, out);
      host.checkRange('resample words', words, out * Math.ceil(taps / 2) * parts);
      if (lines * out * trail === 0) return;
      const least = (products: number): number => Math.max(1, Math.ceil(GRAIN / Math.max(1, products)));
      if (trail === 1) {
        host.divide(across[parts], { count: lines, grain: least(out * taps), multiple: LINES }, (first, count) => [
          y + first * out * F32_BYTES,
          x + first * length * F32_BYTES,
          starts,
          words,
          bits,
          taps,
          length,
          out,
          count,
        ]);
      } else {
        host.divide(along[parts], { count: lines * out, grain: least(trail * taps) }, (first, count) => [
          y,
          x,
          starts,
          words,
          bits,
          taps,
          length,
          out,
          trail,
          first,
          count,
        ]);
      }
    },
  };
}
