/**
 * Bicubic resampling of 8-bit samples on the host, equal to Pillow's to the last bit, or to torchvision's.
 *
 * A sample is clip8((2^(B-1) + sum pixel * weight) >> B), with the weights and the B of tensor-core's `bicubicTaps`. The horizontal
 * pass comes first and is rounded to 8 bits before the vertical pass; an axis whose size does not change is not touched.
 *
 * Memory: one intermediate image of in-height x out-width, and the result.
 * Source: Pillow `src/libImaging/Resample.c`.
 */
import { bicubicTaps, resampleBytes } from '@mindseye/tensor-core';
import { ImageError } from '../errors.js';
import type { PixelArithmetic } from './pixel-arithmetic.js';
import type { RasterImage } from './raster.js';
import type { Size } from './smart-resize.js';

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
    resampleBytes(data, target, taps, {
      lines: height,
      inLineStep: width * channels,
      outLineStep: size.width * channels,
      offsets: channels,
      step: channels,
    });
    data = target;
  }
  if (size.height !== height) {
    const row = size.width * channels;
    const target = new Uint8Array(size.height * row);
    // One "line" covers all columns at once: neighbours are a row apart, and the offsets run over the row's samples.
    const taps = bicubicTaps(height, size.height, arithmetic);
    resampleBytes(data, target, taps, { lines: 1, inLineStep: 0, outLineStep: 0, offsets: row, step: row });
    data = target;
  }
  return { ...image, data, width: size.width, height: size.height };
}
