/**
 * Image decoding with the browser's own decoder.
 *
 * Colour management and premultiplication are switched off, so that samples are those stored in the file, as Pillow gives
 * them. One difference cannot be avoided: a 2D canvas keeps colour premultiplied, so the colour hidden under fully
 * transparent pixels comes back black. JPEG decoders may also differ by a level or so.
 */
import { ImageError } from '../errors.js';
import { checkPixelLimit, completeOptions, inspectImage, type DecodeImageOptions } from './decode-options.js';
import type { RasterImage } from './raster.js';

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
  const blob = source instanceof Blob ? source : new Blob([source]);
  inspectImage(new Uint8Array(await blob.slice(0, 1 << 20).arrayBuffer()), complete);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
      imageOrientation: complete.orientation === 'apply' ? 'from-image' : 'none',
    });
  } catch (error) {
    throw new ImageError(`${complete.name}: the image is corrupt or truncated and cannot be decoded`, { cause: error });
  }
  try {
    const { width, height } = bitmap;
    checkPixelLimit(width, height, complete);
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (context === null) throw new ImageError(`${complete.name}: the browser gives no 2D canvas to read pixels with`);
    context.drawImage(bitmap, 0, 0);
    return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
  } finally {
    bitmap.close();
  }
}
