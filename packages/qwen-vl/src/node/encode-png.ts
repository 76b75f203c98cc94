/** PNG files out of pixels: in memory, or on disk in one step (whole or not at all). */
import { writeFileAtomic } from '@mindseye/tensor-core/node';
import { checkRaster, type RasterImage } from '../processor/raster.js';
import { loadSharp } from './decode-image.js';

/**
 * The bytes of a PNG file. Decoding them gives the same samples.
 * @throws ImageError if sizes and data do not fit
 */
export async function encodePng(image: RasterImage): Promise<Uint8Array> {
  checkRaster(image);
  const { width, height, channels } = image;
  const sharp = await loadSharp();
  const pipeline = sharp(image.data, { raw: { width, height, channels }, limitInputPixels: false });
  return new Uint8Array(await (channels === 1 ? pipeline.toColourspace('b-w') : pipeline).png().toBuffer());
}

/**
 * Writes a PNG file, replacing an older one. A failure leaves no file behind, and the older one as it was.
 * @throws ImageError as `encodePng`; FileError naming the path and the cure if the system refuses
 */
export async function writePng(path: string, image: RasterImage): Promise<void> {
  await writeFileAtomic(path, await encodePng(image));
}
