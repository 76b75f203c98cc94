/**
 * Decoded images: rows of interleaved 8-bit samples, top left first.
 *
 * `data[(y * width + x) * channels + c]`; one channel is grey, three are RGB, four are RGB and alpha. Decoders make
 * these, the image processor reads them, and nobody changes one after it is made.
 */
import { ImageError, quoteValue } from '../errors.js';

export interface RasterImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  readonly channels: 1 | 3 | 4;
}

export interface RgbImage extends RasterImage {
  readonly channels: 3;
}

/** Longest side accepted, in pixels: what JPEG can hold, and far above any pixel budget. */
const LONGEST_SIDE = 65_535;

/**
 * Checks that an image's sizes are whole and its data has exactly the samples they promise.
 * @param name what to call the image in the error, e.g. its file name
 * @throws ImageError
 */
export function checkRaster(image: RasterImage, name: string = 'image'): void {
  for (const side of ['width', 'height'] as const) {
    const value = image[side];
    if (!Number.isInteger(value) || value < 1 || value > LONGEST_SIDE) {
      throw new ImageError(
        `${name}: ${side} must be a whole number from 1 to ${LONGEST_SIDE}, got ${quoteValue(value)}`,
      );
    }
  }
  if (![1, 3, 4].includes(image.channels)) {
    throw new ImageError(
      `${name}: channels must be 1 (grey), 3 (RGB) or 4 (RGB and alpha), got ${quoteValue(image.channels)}`,
    );
  }
  const expected = image.width * image.height * image.channels;
  if (image.data.length !== expected) {
    throw new ImageError(
      `${name}: ${image.width} x ${image.height} pixels of ${image.channels} channels need ${expected} bytes, ` +
        `got ${image.data.length}`,
    );
  }
}

/**
 * Converts to three channels the way Pillow's `convert("RGB")` does: grey is replicated, alpha is dropped and the colour
 * under it kept, nothing is composited. An RGB image is returned as it is, without a copy.
 */
export function toRgb(image: RasterImage, name: string = 'image'): RgbImage {
  checkRaster(image, name);
  const { data, width, height, channels } = image;
  if (channels === 3) return { data, width, height, channels };
  const pixels = width * height;
  const rgb = new Uint8Array(pixels * 3);
  // The offsets of green and blue in a source pixel; both are that of red when there is only grey.
  const green = channels === 1 ? 0 : 1;
  const blue = channels === 1 ? 0 : 2;
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++, from += channels, to += 3) {
    rgb[to] = data[from] ?? 0;
    rgb[to + 1] = data[from + green] ?? 0;
    rgb[to + 2] = data[from + blue] ?? 0;
  }
  return { data: rgb, width, height, channels: 3 };
}
