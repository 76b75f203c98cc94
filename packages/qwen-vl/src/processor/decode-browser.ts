/**
 * Image decoding with the browser's own decoder, to the same samples as in Node on lossless files.
 *
 * Colour management and premultiplication are switched off, so that samples are those stored in the file, as Pillow gives
 * them; the colour under transparent pixels is kept. JPEG and lossy WebP may differ by a level or so between browsers.
 */
import { ImageError } from '../errors.js';
import { bitmapPixels } from './bitmap-pixels.js';
import { checkPixelLimit, completeOptions, inspectImage, type DecodeImageOptions } from './decode-options.js';
import { orient, withoutOrientation } from './exif-orientation.js';
import { opaqueFirstFrame, paintUncovered } from './gif-first-frame.js';
import { isSixteenBitGreyPng } from './image-header.js';
import type { RasterImage } from './raster.js';

/** Largest image file read, in bytes. */
const MAX_FILE_BYTES = 2 ** 28;

/**
 * Decodes an image file in a browser page or worker.
 * @returns four channels, RGB and alpha
 * @throws ImageError naming the image: unknown format, too large, corrupt
 */
export async function decodeImageInBrowser(
  source: Blob | Uint8Array<ArrayBuffer>,
  options: DecodeImageOptions = {},
): Promise<RasterImage> {
  const complete = completeOptions(options);
  const { name } = complete;
  const size = source instanceof Blob ? source.size : source.length;
  if (size > MAX_FILE_BYTES) {
    throw new ImageError(`${name}: the file has ${size} bytes, above the limit of ${MAX_FILE_BYTES}`);
  }
  const file = source instanceof Blob ? new Uint8Array(await source.arrayBuffer()) : source;
  const { format } = inspectImage(file, complete);
  if (complete.sixteenBitGrey === 'clip' && format === 'png' && isSixteenBitGreyPng(file)) {
    throw new ImageError(
      `${name}: browsers give no 16-bit samples to clip; leave out sixteenBitGrey or decode in Node`,
    );
  }
  const { bytes: upright, orientation } = withoutOrientation(file, format);
  const { bytes, uncovered } = format === 'gif' ? opaqueFirstFrame(upright) : { bytes: upright, uncovered: null };
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  } catch (error) {
    throw new ImageError(`${name}: the image is corrupt or truncated and cannot be decoded`, { cause: error });
  }
  try {
    const { width, height } = bitmap;
    checkPixelLimit(width, height, complete);
    const data = await bitmapPixels(bitmap, name);
    const stored = paintUncovered({ data, width, height, channels: 4 } as const, uncovered);
    return orient(stored, complete.orientation === 'apply' ? orientation : 1);
  } finally {
    bitmap.close();
  }
}
