/**
 * Image decoding in Node, through sharp (an optional peer dependency, loaded on first use).
 *
 * The result equals Pillow's `Image.open(...).convert("RGB")` to the last bit for PNG (grey, palette, alpha, 1 to 8 bits, 16-bit
 * colour), for JPEG and for CMYK: no colour management, alpha dropped with the colour under it kept, CMYK by the plain
 * formula. Two differences: 16-bit grey keeps its high byte where Pillow clips everything above 255 to white; and the
 * EXIF orientation is applied unless `orientation: 'ignore'`.
 *
 * Files are bounded in bytes and pixels before a decoder sees them; animated and multi-page files give their first picture.
 */
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type sharp from 'sharp';
import type { SharpOptions } from 'sharp';
import { ImageError, oneLine } from '../errors.js';
import {
  checkPixelLimit,
  completeOptions,
  inspectImage,
  type DecodeImageOptions,
} from '../processor/decode-options.js';
import type { RgbImage } from '../processor/raster.js';

/** Largest image file read, in bytes. */
const MAX_FILE_BYTES = 2 ** 28;

/** sharp, or one clear line if it is not installed. */
export async function loadSharp(): Promise<typeof sharp> {
  try {
    return (await import('sharp')).default;
  } catch (error) {
    throw new ImageError('reading and writing image files needs the package sharp; install it (npm install sharp)', {
      cause: error,
    });
  }
}

/** CMYK to RGB as Pillow does it: c' = (255 - k) - c (255 - k) / 255 with its rounding, no profile. */
function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4, to += 3) {
    const light = 255 - cmyk[from + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      const product = cmyk[from + channel]! * light + 128;
      rgb[to + channel] = light - ((product + (product >> 8)) >> 8);
    }
  }
  return rgb;
}

async function decode(load: typeof sharp, bytes: Uint8Array, options: Required<DecodeImageOptions>): Promise<RgbImage> {
  // Damaged data fails instead of turning grey; the pixel limit is checked below, in our words.
  const settings: SharpOptions = { failOn: 'error', limitInputPixels: false, ignoreIcc: true };
  const metadata = await load(bytes, settings).metadata();
  checkPixelLimit(metadata.width, metadata.height, options);
  let pipeline = load(bytes, settings);
  if (options.orientation === 'apply') pipeline = pipeline.autoOrient();
  const isCmyk = metadata.space === 'cmyk';
  pipeline = isCmyk
    ? pipeline.pipelineColourspace('cmyk').toColourspace('cmyk')
    : pipeline.toColourspace('srgb').removeAlpha();
  const { data, info } = await pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const samples = isCmyk && info.channels === 4 ? cmykToRgb(data) : new Uint8Array(data);
  if (samples.length !== width * height * 3) {
    throw new ImageError(
      `${options.name}: the image has an unusual colour layout (${metadata.space}); convert it to RGB`,
    );
  }
  return { data: samples, width, height, channels: 3 };
}

/**
 * Decodes an image file from memory.
 * @returns RGB
 * @throws ImageError in one line naming the image: empty, unknown format, too many pixels, corrupt or truncated
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeImageOptions = {}): Promise<RgbImage> {
  const complete = completeOptions(options);
  inspectImage(bytes, complete);
  const load = await loadSharp();
  try {
    return await decode(load, bytes, complete);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    const reason = oneLine(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error), 120);
    throw new ImageError(`${complete.name}: the image is corrupt or truncated (${reason}); replace the file`, {
      cause: error,
    });
  }
}

/**
 * Reads and decodes an image file.
 * @throws ImageError in one line naming the path: missing, not a file, above 256 MiB, and as `decodeImage`
 */
export async function readImage(path: string, options: DecodeImageOptions = {}): Promise<RgbImage> {
  return decodeImage(await readImageBytes(path), { name: basename(path), ...options });
}

async function readImageBytes(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      // Looked at through the open handle, so that what is checked is what is read.
      const stats = await file.stat();
      if (!stats.isFile()) throw new ImageError(`${path}: not a file; name an image file`);
      if (stats.size > MAX_FILE_BYTES) {
        throw new ImageError(`${path}: the file has ${stats.size} bytes, above the limit of ${MAX_FILE_BYTES}`);
      }
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ImageError) throw error;
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = error instanceof Error ? error.message : String(error);
    throw new ImageError(missing ? `${path}: no such file; check the path` : `${path}: cannot be read (${reason})`, {
      cause: error,
    });
  }
}
