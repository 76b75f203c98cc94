/** The sums behind resampling: four channels of some pixels over pairs of taps. */
import { i16x8, i32, i32x4, i8x16, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { PART_BITS, type Parts } from './arranged-taps.js';
import { F32_BYTES } from './host.js';

type Vector = Local<'v128'>;

export const NONE: Expression<'v128'> = i32x4.constant(0, 0, 0, 0);

/** 2^(bits - 1), what rounds. */
export const halfOf = (f: FunctionBuilder, bits: Local<'i32'>): Vector =>
  f.let('half', i32x4.splat(i32.shl(1, i32.sub(bits, 1))));

/** The sums of some pixels, four channels each, over their taps. */
export class TapSums {
  readonly #f: FunctionBuilder;
  readonly #sums: readonly (readonly Vector[])[];
  readonly #parts: Parts;

  constructor(f: FunctionBuilder, parts: Parts, pixels: number) {
    const local = (_: unknown, i: number): Vector => f.local('v128', `sum${i}`);
    this.#f = f;
    this.#parts = parts;
    this.#sums = Array.from({ length: pixels }, () => Array.from({ length: parts }, local));
  }

  /** @param half of `halfOf`. */
  start(half: Vector): void {
    for (const sums of this.#sums) sums.forEach((sum, part) => this.#f.set(sum, part === 0 ? half : NONE));
  }

  /** Adds a pair of taps to every pixel. @param words cursor of the arranged taps, advanced. */
  add(words: Local<'i32'>, pairs: readonly Vector[]): void {
    const f = this.#f;
    const weights = Array.from({ length: this.#parts }, (_, part) =>
      f.let('weights', v128.load32Splat(words, part * F32_BYTES)),
    );
    pairs.forEach((pair, pixel) =>
      weights.forEach((weight, part) => {
        const sum = this.#sums[pixel]![part]!;
        f.set(sum, i32x4.add(sum, i32x4.dotI16x8Signed(pair, weight)));
      }),
    );
    f.set(words, i32.add(words, this.#parts * F32_BYTES));
  }

  /** The four channels of every pixel before they are clipped. */
  totals(bits: Local<'i32'>): readonly Expression<'v128'>[] {
    return this.#sums.map(([low, high]) =>
      i32x4.shrSigned(high ? i32x4.add(low!, i32x4.shl(high, PART_BITS)) : low!, bits),
    );
  }
}

/** Four channels of four pixels as bytes; a single pixel in the first word. */
export const clipped = (totals: readonly Expression<'v128'>[]): Expression<'v128'> => {
  const [a, b = NONE, c = NONE, d = NONE] = totals;
  return i8x16.narrowI16x8Unsigned(i16x8.narrowI32x4Signed(a!, b), i16x8.narrowI32x4Signed(c, d));
};
