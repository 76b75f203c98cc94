/**
 * Bicubic resampling of 8-bit samples, equal to Pillow's to the last bit, or to torchvision's.
 *
 * Kernel: cubic convolution with a = -0.5, of radius 2, widened by the scale when shrinking (antialiasing). For output
 * position x of an axis with s = in / out, F = max(s, 1):
 *   centre c = (x + 0.5) s, taps from max(0, trunc(c - 2F + 0.5)) up to but not including min(in, trunc(c + 2F + 0.5)),
 *   weight_j = k((j - c + 0.5) / F), normalised by the sum in double, then rounded half away from zero to units of 2^-B.
 * A sample is clip8((2^(B-1) + sum pixel * weight) >> B), B = 22 for Pillow (see `PixelArithmetic`). The horizontal pass
 * comes first and is rounded to 8 bits before the vertical pass; an axis whose size does not change is not touched.
 *
 * Memory: one intermediate image of in-height x out-width, and the result.
 * Source: Pillow `src/libImaging/Resample.c`.
 */
import { ImageError } from '../errors.js';
import { PIXEL_ARITHMETIC, type PixelArithmetic } from './pixel-arithmetic.js';
import type { RasterImage } from './raster.js';
import type { Size } from './smart-resize.js';

const SUPPORT = 2;
const A = -0.5;

/** The taps of one axis: output i reads `counts[i]` samples from `starts[i]` on, weighted by `weights[i * stride + j]`. */
export interface ResampleTaps {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
  /** Room for weights per output, at least the largest count. */
  readonly stride: number;
  /** Fraction bits of the weights. */
  readonly bits: number;
}

function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * A;
  return 0;
}

/** Which samples each of `outSize` outputs reads, and with what integer weights. */
export function bicubicTaps(inSize: number, outSize: number, arithmetic: PixelArithmetic = 'pillow'): ResampleTaps {
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1);
  const support = SUPPORT * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outSize);
  const counts = new Int32Array(outSize);
  const real = new Float64Array(outSize * stride);
  // The references multiply by the reciprocal; dividing instead would round a few weights differently.
  const inverse = 1 / filterScale;
  let largest = 0;
  for (let x = 0; x < outSize; x++) {
    const centre = (x + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(inSize, Math.trunc(centre + support + 0.5)) - start;
    const row = real.subarray(x * stride, x * stride + count);
    let sum = 0;
    for (let j = 0; j < count; j++) sum += row[j] = cubic((j + start - centre + 0.5) * inverse);
    for (let j = 0; j < count; j++) {
      if (sum !== 0) row[j]! /= sum;
      largest = Math.max(largest, row[j]!);
    }
    starts[x] = start;
    counts[x] = count;
  }
  const bits = PIXEL_ARITHMETIC[arithmetic].weightBits(largest);
  const weights = Int32Array.from(real, (weight) => Math.trunc(weight * 2 ** bits + (weight < 0 ? -0.5 : 0.5)));
  return { starts, counts, weights, stride, bits };
}

/**
 * One pass along one axis. A line is the samples of one row (horizontal) or one column (vertical) of one channel;
 * `step` is the distance between neighbours on it. Lines start at `line * lineStep + offset`.
 */
function resampleAxis(
  source: Uint8Array | Uint8ClampedArray,
  target: Uint8Array,
  taps: ResampleTaps,
  lines: number,
  inLineStep: number,
  outLineStep: number,
  offsets: number,
  step: number,
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

/**
 * Resizes an image with any number of interleaved 8-bit channels; each channel is resampled by itself.
 * @returns a new image of the asked size, or the image itself if it has that size already
 * @throws ImageError if a side of the target is not a positive whole number
 */
export function resizeBicubic<Image extends RasterImage>(
  image: Image,
  size: Size,
  arithmetic: PixelArithmetic = 'pillow',
): Image {
  const { width, height, channels } = image;
  for (const [name, value] of Object.entries(size)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ImageError(`resizeBicubic: ${name} must be a positive whole number, got ${value}`);
    }
  }
  if (size.width === width && size.height === height) return image;
  let data = image.data;
  if (size.width !== width) {
    const target = new Uint8Array(size.width * height * channels);
    const taps = bicubicTaps(width, size.width, arithmetic);
    resampleAxis(data, target, taps, height, width * channels, size.width * channels, channels, channels);
    data = target;
  }
  if (size.height !== height) {
    const row = size.width * channels;
    const target = new Uint8Array(size.height * row);
    // One "line" covers all columns at once: neighbours are a row apart, and the offsets run over the row's samples.
    resampleAxis(data, target, bicubicTaps(height, size.height, arithmetic), 1, 0, 0, row, row);
    data = target;
  }
  return { ...image, data, width: size.width, height: size.height };
}
