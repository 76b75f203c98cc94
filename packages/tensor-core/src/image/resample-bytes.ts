/**
 * One pass of resampling over 8-bit samples: the arithmetic that the op and host code share.
 *
 *   y = clip8((2^(B-1) + sum of sample * weight) >> B), the sum wrapped to 32 bits
 */
import type { ResampleTaps } from './taps.js';

/** Where the samples of an axis lie, in bytes. Line l, output x writes `offsets` bytes at l · outLineStep + x · step. */
export interface ByteLines {
  readonly lines: number;
  readonly inLineStep: number;
  readonly outLineStep: number;
  /** Neighbouring samples that share their weights: the channels of a pixel, or a whole row of pixels. */
  readonly offsets: number;
  /** From one place of the axis to the next. */
  readonly step: number;
}

export function resampleBytes(
  source: Uint8Array | Uint8ClampedArray,
  target: Uint8Array | Uint8ClampedArray,
  taps: ResampleTaps,
  { lines, inLineStep, outLineStep, offsets, step }: ByteLines,
): void {
  const { starts, counts, weights, stride, bits } = taps;
  const half = 1 << (bits - 1);
  for (let line = 0; line < lines; line++) {
    for (let x = 0; x < starts.length; x++) {
      const count = counts[x]!;
      const weightAt = x * stride;
      const from = line * inLineStep + starts[x]! * step;
      const to = line * outLineStep + x * step;
      for (let offset = 0; offset < offsets; offset++) {
        let sum = half;
        for (let j = 0, at = from + offset; j < count; j++, at += step) sum += source[at]! * weights[weightAt + j]!;
        const value = sum >> bits;
        target[to + offset] = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    }
  }
}
