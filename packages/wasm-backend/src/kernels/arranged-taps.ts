/**
 * Taps of resampling as the kernels read them: pairs for a 16-bit multiply-add.
 *
 * A weight of up to 31 bits is two parts, w = high 2^15 + low with 0 <= low < 2^15, whose sums are joined at the end; sums of
 * products modulo 2^32 stay right whatever the order. Weights that fit 16 bits (torchvision's) are one part. Per output and pair
 * of taps there is one word for each part, low before high, with the first tap in its low half.
 */
import { F32_BYTES } from './host.js';

/** 16-bit parts of a weight. */
export type Parts = 1 | 2;

/** Bits of the low of two parts. */
export const PART_BITS = 15;

/** Taps in the form the kernels read. */
export interface ArrangedTaps {
  readonly parts: Parts;
  /** [out, ceil(taps / 2), parts] */
  readonly words: Int32Array;
}

/** Bytes of arranged taps at most. */
export const arrangedTapsBytes = (out: number, taps: number): number => out * Math.ceil(taps / 2) * 2 * F32_BYTES;

/** @param weights i32 [out, taps], from -2^30 to below 2^30. */
export function arrangeTaps(weights: Int32Array, out: number, taps: number): ArrangedTaps {
  const parts: Parts = weights.every((weight) => (weight << 16) >> 16 === weight) ? 1 : 2;
  const pairs = Math.ceil(taps / 2);
  const words = new Int32Array(out * pairs * parts);
  for (let i = 0, at = 0; i < out; i++) {
    for (let j = 0; j < taps; j += 2, at += parts) {
      const first = weights[i * taps + j]!;
      const second = j + 1 < taps ? weights[i * taps + j + 1]! : 0;
      if (parts === 1) words[at] = (first & 0xffff) | (second << 16);
      else {
        words[at] = (first & 0x7fff) | ((second & 0x7fff) << 16);
        words[at + 1] = ((first >> PART_BITS) & 0xffff) | ((second >> PART_BITS) << 16);
      }
    }
  }
  return { parts, words };
}
