/**
 * What an image file says about itself in its first bytes: format and, where cheap to find, size in pixels.
 *
 * Read before any decoder is given the bytes, so that unknown formats (SVG among them, which can reach outside the file)
 * and absurd sizes are refused without work. Only bounds-checked reads; a walk over JPEG segments ends with the data.
 *
 * Sources: PNG (W3C) 11.2.2; JPEG (ITU T.81) B.2; GIF89a 18; RFC 9649 (WebP) 2; TIFF 6.0 section 2; ISO 23008-12 (AVIF).
 */
import type { Size } from './smart-resize.js';

export type ImageFormat = 'png' | 'jpeg' | 'webp' | 'gif' | 'tiff' | 'avif';

export interface ImageHeader {
  readonly format: ImageFormat;
  /** As stored, before any orientation; null where finding it needs a decoder. */
  readonly size: Size | null;
}

/** Formats with the bytes they start with; null matches any byte. */
const SIGNATURES: readonly (readonly [ImageFormat, readonly (number | null)[]])[] = [
  ['png', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['jpeg', [0xff, 0xd8, 0xff]],
  ['gif', [0x47, 0x49, 0x46, 0x38, null, 0x61]],
  ['webp', [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50]],
  ['tiff', [0x49, 0x49, 0x2a, 0x00]],
  ['tiff', [0x4d, 0x4d, 0x00, 0x2a]],
  ['avif', [null, null, null, null, 0x66, 0x74, 0x79, 0x70, 0x61, 0x76, 0x69, null]],
];

/** Formats by name, for error messages. */
export const IMAGE_FORMATS: readonly ImageFormat[] = [...new Set(SIGNATURES.map(([format]) => format))];

const byteAt = (view: DataView, offset: number): number => (offset < view.byteLength ? view.getUint8(offset) : -1);

function pngSize(view: DataView): Size | null {
  return view.byteLength < 24 ? null : { width: view.getUint32(16), height: view.getUint32(20) };
}

function gifSize(view: DataView): Size | null {
  return view.byteLength < 10 ? null : { width: view.getUint16(6, true), height: view.getUint16(8, true) };
}

/** Walks the segments to the frame header (SOF), which no marker but DHT, JPG and DAC shares a number range with. */
function jpegSize(view: DataView): Size | null {
  let offset = 2;
  while (offset + 9 <= view.byteLength) {
    if (byteAt(view, offset) !== 0xff) return null;
    const marker = byteAt(view, offset + 1);
    if (marker === 0xff) {
      offset += 1; // fill byte
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { height: view.getUint16(offset + 5), width: view.getUint16(offset + 7) };
    } else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      offset += 2; // markers without a length
    } else if (marker === 0xd9 || marker === 0xda) {
      return null; // picture data without a frame header
    } else {
      offset += 2 + Math.max(2, view.getUint16(offset + 2));
    }
  }
  return null;
}

function webpSize(view: DataView): Size | null {
  if (view.byteLength < 30) return null;
  const uint24 = (offset: number): number => view.getUint16(offset, true) + view.getUint8(offset + 2) * 65536;
  const readers: Record<string, () => Size> = {
    'VP8 ': () => ({ width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }),
    VP8L: () => {
      const bits = view.getUint32(21, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    },
    VP8X: () => ({ width: uint24(24) + 1, height: uint24(27) + 1 }),
  };
  const chunk = String.fromCharCode(...[12, 13, 14, 15].map((offset) => view.getUint8(offset)));
  return readers[chunk]?.() ?? null;
}

const SIZE_READERS: Readonly<Record<ImageFormat, (view: DataView) => Size | null>> = {
  png: pngSize,
  jpeg: jpegSize,
  gif: gifSize,
  webp: webpSize,
  tiff: () => null,
  avif: () => null,
};

/** Format and stored size of an image file, or null if it is none of `IMAGE_FORMATS`. Never throws. */
export function readImageHeader(bytes: Uint8Array): ImageHeader | null {
  const found = SIGNATURES.find(([, signature]) =>
    signature.every((value, index) => index < bytes.length && (value === null || bytes[index] === value)),
  );
  if (found === undefined) return null;
  const [format] = found;
  return { format, size: SIZE_READERS[format](new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)) };
}

/** Whether a PNG has grey samples of 16 bits, and no channel of alpha: what Pillow calls `I;16`. */
export const isSixteenBitGreyPng = (png: Uint8Array): boolean => png[24] === 16 && png[25] === 0;
