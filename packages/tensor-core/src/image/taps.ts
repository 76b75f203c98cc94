/**
 * Bicubic resampling as weights: which samples of an axis each new sample reads, and with what whole-number weights.
 *
 * Kernel: cubic convolution with a = -0.5, of radius 2, widened by the scale when shrinking (antialiasing). For output
 * position x of an axis with s = in / out, F = max(s, 1):
 *   centre c = (x + 0.5) s, taps from max(0, trunc(c - 2F + 0.5)) up to but not including min(in, trunc(c + 2F + 0.5)),
 *   weight_j = k((j - c + 0.5) / F), normalised by the sum in double, then rounded half away from zero to units of 2^-B.
 *
 * Whose arithmetic decides B: `pillow` always has 22 bits, `torchvision` the most for which the largest weight fits 16 bits.
 *
 * Sources: Pillow `src/libImaging/Resample.c`; PyTorch `UpSampleKernelAVXAntialias.h`.
 */
import { ShapeError } from '../errors.js';
import { type Tensor, tensor } from '../tensor.js';

/** Whose arithmetic on 8-bit samples; they differ by one level in a few thousandths of all places. */
export type PixelArithmetic = 'pillow' | 'torchvision';

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

const SUPPORT = 2;
const A = -0.5;
const PILLOW_BITS = 22;
const LARGEST_INT16 = 2 ** 15;

/** Fraction bits of the integer weights of an axis whose largest weight is this. */
const weightBits: Readonly<Record<PixelArithmetic, (largestWeight: number) => number>> = {
  pillow: () => PILLOW_BITS,
  torchvision: (largestWeight) => {
    let bits = 0;
    while (bits < PILLOW_BITS && Math.trunc(0.5 + largestWeight * 2 ** (bits + 1)) < LARGEST_INT16) bits++;
    return bits;
  },
};

function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * A;
  return 0;
}

/** Which samples each of `outSize` outputs reads, and with what integer weights. Both sizes are positive whole numbers. */
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
  const bits = weightBits[arithmetic](largest);
  const weights = Int32Array.from(real, (weight) => Math.trunc(weight * 2 ** bits + (weight < 0 ? -0.5 : 0.5)));
  return { starts, counts, weights, stride, bits };
}

/** The taps of one axis as operands of `resamplePixels`. */
export interface TapTensors {
  /** i32 [out] */
  readonly starts: Tensor;
  /** i32 [out, taps] */
  readonly weights: Tensor;
  readonly bits: number;
}

/**
 * Taps as tensors: every output has as many, weights of zero where it needs fewer, and all lie on the axis.
 * @param inSize samples of the axis that is read
 * @throws ShapeError if a size is not a positive whole number
 */
export function bicubicTapTensors(inSize: number, outSize: number, arithmetic: PixelArithmetic = 'pillow'): TapTensors {
  for (const size of [inSize, outSize]) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new ShapeError(
        `bicubicTapTensors: from ${inSize} to ${outSize} samples; both must be positive whole numbers`,
      );
  }
  const { starts, counts, weights, stride, bits } = bicubicTaps(inSize, outSize, arithmetic);
  const taps = counts.reduce((most, count) => Math.max(most, count), 1);
  const first = starts.map((start) => Math.min(start, inSize - taps));
  const even = new Int32Array(outSize * taps);
  for (let x = 0; x < outSize; x++)
    even.set(weights.subarray(x * stride, x * stride + counts[x]!), x * taps + starts[x]! - first[x]!);
  return { starts: tensor(first), weights: tensor(even, [outSize, taps]), bits };
}
