/**
 * Resampling of pictures along one axis, in whole numbers, so that every device gives the same bytes.
 *
 * A pixel is one u32 word of four 8-bit channels, the first in the lowest byte (red, green, blue, alpha). With a = the axis,
 *   y[…, i, …] = in each channel  clip8((2^(B-1) + sum over j of x[…, starts[i] + j, …] weights[i, j]) >> B)
 * where the sum wraps to 32 bits, as it does for no weights of `bicubicTapTensors`.
 */
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import { gather } from '../ops/gather.js';
import { arange } from '../ops/iota.js';
import { maximum } from '../ops/maximum.js';
import { minimum } from '../ops/minimum.js';
import { mul } from '../ops/mul.js';
import { misfit } from '../ops/operands.js';
import { permute } from '../ops/permute.js';
import { reshape } from '../ops/reshape.js';
import { shiftRight } from '../ops/shift-right.js';
import { sum } from '../ops/sum.js';
import { normalizeAxis, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { channelOf, joinChannels, wordChannels } from './channels.js';
import { resampleBytes } from './resample-bytes.js';
import { type PixelArithmetic, type TapTensors, bicubicTapTensors } from './taps.js';

export interface ResamplePixelsAttributes {
  readonly axis: number;
  /** Fraction bits of the weights, 1 to 30. */
  readonly bits: number;
}

/** Weights below this fit two products of 16 bits, which is how fast kernels multiply. */
const WEIGHT_LIMIT = 2 ** 30;

function checkTaps(starts: ArrayLike<number>, weights: ArrayLike<number>, length: number, taps: number): void {
  for (let i = 0; i < starts.length; i++) {
    if (starts[i]! < 0 || starts[i]! > length - taps)
      throw new RangeError(
        `resamplePixels: ${taps} taps from sample ${starts[i]} on are not all on an axis of ${length} samples`,
      );
  }
  for (let i = 0; i < weights.length; i++) {
    if (weights[i]! < -WEIGHT_LIMIT || weights[i]! >= WEIGHT_LIMIT)
      throw new RangeError(`resamplePixels: weight ${weights[i]} is not from -2^30 to below 2^30`);
  }
}

/** Resamples one axis of a picture of u32 pixels with whole-number weights: starts i32 [out], weights i32 [out, taps]. */
export const resamplePixelsOp: Op<ResamplePixelsAttributes> = {
  name: 'resamplePixels',
  infer([pixels, starts, weights], { axis, bits }) {
    const operands = { pixels: pixels!, starts: starts!, weights: weights! };
    const [length, taps] = [pixels!.shape[axis], weights!.shape[1]];
    if (pixels!.dtype !== 'u32' || starts!.dtype !== 'i32' || weights!.dtype !== 'i32' || length === undefined)
      throw misfit('resamplePixels', operands, `the pixels are u32 words with an axis ${axis}, the others are i32`);
    if (starts!.shape.length !== 1 || weights!.shape.length !== 2 || weights!.shape[0] !== starts!.shape[0])
      throw misfit('resamplePixels', operands, 'the starts are [out] and the weights [out, taps]');
    if (taps! < 1 || taps! > length)
      throw misfit('resamplePixels', operands, `a sample is made of 1 to ${length} others`);
    if (!Number.isInteger(bits) || bits < 1 || bits > 30)
      throw new ShapeError(`resamplePixels: ${bits} fraction bits must be 1 to 30`);
    return [{ shape: pixels!.shape.with(axis, starts!.shape[0]!), dtype: 'u32' }];
  },
  reference({ inputs: [pixels, starts, weights], outputs: [y], attributes: { axis, bits } }) {
    const [length, out, taps] = [pixels!.shape[axis]!, starts!.data.length, weights!.shape[1]!];
    checkTaps(starts!.data, weights!.data, length, taps);
    const step = wordChannels * sizeOf(pixels!.shape.slice(axis + 1));
    const bytes = ({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array =>
      new Uint8Array(buffer, byteOffset, byteLength);
    resampleBytes(
      bytes(pixels!.data as Uint32Array),
      bytes(y!.data as Uint32Array),
      {
        starts: starts!.data as Int32Array,
        counts: new Int32Array(out).fill(taps),
        weights: weights!.data as Int32Array,
        stride: taps,
        bits,
      },
      {
        lines: sizeOf(pixels!.shape.slice(0, axis)),
        inLineStep: length * step,
        outLineStep: out * step,
        offsets: step,
        step,
      },
    );
  },
  decompose([pixels, starts, weights], { axis, bits }) {
    const [out, taps] = weights!.shape as [number, number];
    const length = pixels!.shape[axis]!;
    const lead = sizeOf(pixels!.shape.slice(0, axis));
    const trail = sizeOf(pixels!.shape.slice(axis + 1));
    const samples = reshape(permute(reshape(pixels!, [lead, length, trail]), [1, 0, 2]), [length, lead * trail]);
    const places = add(reshape(starts!, [out, 1]), arange(taps, 'i32'));
    const read = gather(samples, places);
    const factors = reshape(weights!, [out, taps, 1]);
    const channels = Array.from({ length: wordChannels }, (_, channel) => {
      const total = add(sum(mul(cast(channelOf(read, channel), 'i32'), factors), 1), 2 ** (bits - 1));
      return minimum(shiftRight(cast(maximum(total, 0), 'u32'), bits), 255);
    });
    const resampled = permute(reshape(joinChannels(channels), [out, lead, trail]), [1, 0, 2]);
    return [reshape(resampled, pixels!.shape.with(axis, out))];
  },
  guard: {
    operands: [1, 2],
    check({ inputs: [pixels, , weights], data: [starts, factors], attributes: { axis } }) {
      checkTaps(starts!, factors!, pixels!.shape[axis]!, weights!.shape[1]!);
    },
  },
  flops: ([, , weights], [y]) => 2 * wordChannels * sizeOf(y!.shape) * weights!.shape[1]!,
  stopsGradient: true,
};

/**
 * One axis of a picture with taps of one's own.
 * @param pixels u32, four 8-bit channels to a word
 */
export const resamplePixels = (pixels: Tensor, { starts, weights, bits }: TapTensors, axis: number): Tensor =>
  applyOne(resamplePixelsOp, [pixels, starts, weights], {
    axis: normalizeAxis(axis, pixels.rank, 'resamplePixels'),
    bits,
  });

export interface ResampleImageOptions {
  /** Default `pillow`. */
  readonly arithmetic?: PixelArithmetic;
}

/**
 * Resizes pictures: bicubic with antialiasing, the bytes of Pillow (or torchvision) on every device. Columns come first and
 * are rounded to 8 bits before rows; an axis whose size does not change is not touched.
 *
 * pixels u32 [...any, height, width] → [...any, height', width']; no gradient.
 * @throws ShapeError if a size is not a positive whole number
 */
export function resampleImage(
  pixels: Tensor,
  size: { readonly height: number; readonly width: number },
  { arithmetic = 'pillow' }: ResampleImageOptions = {},
): Tensor {
  if (pixels.dtype !== 'u32' || pixels.rank < 2)
    throw new ShapeError(`resampleImage takes u32 pixels [..., height, width], got ${pixels.toString()}`);
  const [height, width] = pixels.shape.slice(-2) as [number, number];
  let resized = pixels;
  if (size.width !== width) resized = resamplePixels(resized, bicubicTapTensors(width, size.width, arithmetic), -1);
  if (size.height !== height) resized = resamplePixels(resized, bicubicTapTensors(height, size.height, arithmetic), -2);
  return resized;
}
