/** Options and checks that the Node and the browser decoder share, so that both refuse the same files in the same words. */
import { ImageError } from '../errors.js';
import { IMAGE_FORMATS, readImageHeader, type ImageHeader } from './image-header.js';

export interface DecodeImageOptions {
  /** What errors call the image, usually its file name. Default `image`. */
  readonly name?: string;
  /** Largest width times height decoded. Default 100 million. */
  readonly maxPixels?: number;
  /**
   * Whether to turn the picture as its EXIF orientation says. Default `apply`, what a person sees in any viewer; `ignore`
   * is what Pillow, and so most Python pipelines, do.
   */
  readonly orientation?: 'apply' | 'ignore';
  /**
   * What 8-bit samples the 16-bit ones of a grey PNG become. Default `high-byte`, the picture a viewer shows; `clip` is what
   * Pillow's `convert("RGB")` does: everything above 255 turns white, so most such pictures are white throughout.
   */
  readonly sixteenBitGrey?: 'high-byte' | 'clip';
}

export const DEFAULT_MAX_PIXELS = 100_000_000;

/** Turns options into complete ones. */
export function completeOptions(options: DecodeImageOptions): Required<DecodeImageOptions> {
  return {
    name: options.name ?? 'image',
    maxPixels: options.maxPixels ?? DEFAULT_MAX_PIXELS,
    orientation: options.orientation ?? 'apply',
    sixteenBitGrey: options.sixteenBitGrey ?? 'high-byte',
  };
}

/** @throws ImageError if the size is zero or above the limit */
export function checkPixelLimit(width: number, height: number, options: Required<DecodeImageOptions>): void {
  if (width < 1 || height < 1) throw new ImageError(`${options.name}: the image has no pixels (${width} x ${height})`);
  if (width * height > options.maxPixels) {
    throw new ImageError(
      `${options.name}: ${width} x ${height} pixels are above the limit of ${options.maxPixels}; ` +
        'scale the image down or raise maxPixels',
    );
  }
}

/**
 * Looks at a file's first bytes.
 * @throws ImageError if the file is empty, in no known format, or larger than allowed
 */
export function inspectImage(bytes: Uint8Array, options: Required<DecodeImageOptions>): ImageHeader {
  if (bytes.length === 0) throw new ImageError(`${options.name}: the file is empty; expected an image`);
  const header = readImageHeader(bytes);
  if (header === null) {
    throw new ImageError(`${options.name}: not a known image format; supported: ${IMAGE_FORMATS.join(', ')}`);
  }
  if (header.size !== null) checkPixelLimit(header.size.width, header.size.height, options);
  return header;
}
