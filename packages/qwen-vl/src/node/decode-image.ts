/**
 * Image decoding in Node, through sharp (an optional peer dependency, loaded on first use).
 *
 * The result equals Pillow's `Image.open(...).convert("RGB")` to the last bit for PNG (grey, palette, alpha, 1 to 16 bits), JPEG
 * (CMYK and YCCK among them), WebP and GIF: no colour management, alpha dropped with the colour under it kept, CMYK by
 * the plain formula. Two defaults differ, and can be set to Pillow's: the EXIF orientation is applied, and 16-bit grey keeps its
 * high byte where Pillow clips everything above 255 to white.
 *
 * Files are bounded in bytes and pixels before a decoder sees them; animated and multi-page files give their first picture.
 */
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type sharp from 'sharp';
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { ImageError, oneLine } from '../errors.js';
import {
  checkPixelLimit,
  completeOptions,
  inspectImage,
  type DecodeImageOptions,
} from '../processor/decode-options.js';
import { opaqueFirstFrame, paintUncovered } from '../processor/gif-first-frame.js';
import { isSixteenBitGreyPng, type ImageHeader } from '../processor/image-header.js';
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

/** Damaged data fails instead of turning grey; the pixel limit is checked here, in our words. */
export const DECODER_SETTINGS: SharpOptions = { failOn: 'error', limitInputPixels: false, ignoreIcc: true };

/** 16-bit grey, above 255 all white, as three equal channels. */
function clippedGrey(samples: Uint16Array, channels: number): Uint8Array {
  return Uint8Array.from({ length: (samples.length / channels) * 3 }, (_value, index) =>
    Math.min(samples[Math.floor(index / 3) * channels]!, 255),
  );
}

interface Layout {
  /** Whether a picture whose metadata say this has the layout. */
  readonly fits: (metadata: Metadata, bytes: Uint8Array, options: Required<DecodeImageOptions>) => boolean;
  readonly configure: (pipeline: Sharp) => Sharp;
  readonly depth: 'uchar' | 'ushort';
  readonly toRgb: (data: Buffer, channels: number) => Uint8Array;
}

/** What is asked of sharp for each layout of colours, and how its samples become RGB. The first that fits counts. */
const LAYOUTS: readonly Layout[] = [
  {
    fits: ({ space }) => space === 'cmyk',
    configure: (pipeline) => pipeline.pipelineColourspace('cmyk').toColourspace('cmyk'),
    depth: 'uchar',
    toRgb: (data, channels) => (channels === 4 ? cmykToRgb(data) : data),
  },
  {
    // With a channel of alpha Pillow reads such a file as 8-bit RGBA, by its high bytes.
    fits: ({ format, space, channels }, bytes, { sixteenBitGrey }) =>
      sixteenBitGrey === 'clip' &&
      space === 'grey16' &&
      (format === 'png' ? isSixteenBitGreyPng(bytes) : channels === 1),
    configure: (pipeline) => pipeline.toColourspace('grey16'),
    depth: 'ushort',
    toRgb: (data, channels) =>
      clippedGrey(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2), channels),
  },
  {
    fits: () => true,
    configure: (pipeline) => pipeline.toColourspace('srgb').removeAlpha(),
    depth: 'uchar',
    toRgb: (data) => data,
  },
];

async function decode(
  load: typeof sharp,
  file: Uint8Array,
  header: ImageHeader,
  options: Required<DecodeImageOptions>,
): Promise<RgbImage> {
  const { bytes, uncovered } =
    header.format === 'gif' ? opaqueFirstFrame(new Uint8Array(file)) : { bytes: file, uncovered: null };
  const metadata = await load(bytes, DECODER_SETTINGS).metadata();
  checkPixelLimit(metadata.width, metadata.height, options);
  const { configure, depth, toRgb } = LAYOUTS.find(({ fits }) => fits(metadata, bytes, options))!;
  const upright =
    options.orientation === 'apply' ? load(bytes, DECODER_SETTINGS).autoOrient() : load(bytes, DECODER_SETTINGS);
  const { data, info } = await configure(upright).raw({ depth }).toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const samples = new Uint8Array(toRgb(data, info.channels));
  if (samples.length !== width * height * 3) {
    throw new ImageError(
      `${options.name}: the image has an unusual colour layout (${metadata.space}); convert it to RGB`,
    );
  }
  return paintUncovered({ data: samples, width, height, channels: 3 }, uncovered);
}

/** What a failure of the decoder becomes: one line naming the image. Errors of this package pass as they are. */
export function decoderError(error: unknown, name: string): ImageError {
  if (error instanceof ImageError) return error;
  const reason = oneLine(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error), 120);
  return new ImageError(`${name}: the image is corrupt or truncated (${reason}); replace the file`, { cause: error });
}

/**
 * Decodes an image file from memory.
 * @returns RGB
 * @throws ImageError in one line naming the image: empty, unknown format, too many pixels, corrupt or truncated
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeImageOptions = {}): Promise<RgbImage> {
  const complete = completeOptions(options);
  const header = inspectImage(bytes, complete);
  const load = await loadSharp();
  try {
    return await decode(load, bytes, header, complete);
  } catch (error) {
    throw decoderError(error, complete.name);
  }
}

/**
 * Reads and decodes an image file.
 * @throws ImageError in one line naming the path: missing, not a file, above 256 MiB, and as `decodeImage`
 */
export async function readImage(path: string, options: DecodeImageOptions = {}): Promise<RgbImage> {
  return decodeImage(await readImageBytes(path), { name: basename(path), ...options });
}

/**
 * The bytes of an image file.
 * @throws ImageError in one line naming the path: missing, not a file, above 256 MiB
 */
export async function readImageBytes(path: string): Promise<Uint8Array> {
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
