/**
 * The EXIF orientation of an image file: found, and set to "upright" in a copy of the bytes.
 *
 * Browsers always turn pictures of some formats, never those of others, and have no switch for it. So a file is made to
 * say that it is upright, and the picture is turned here (`orient`), by the same rule everywhere. Only bounds-checked reads.
 *
 * EXIF data is a little TIFF: byte order, 42, offset of a directory; a directory is a count and entries of twelve bytes; entry
 * 0x0112 is the orientation. JPEG keeps it in an APP1 segment, PNG in a chunk `eXIf` (with a checksum), WebP in a chunk `EXIF`.
 *
 * Sources: EXIF 2.3 section 4.6; TIFF 6.0 section 2; PNG (W3C) 5 and annex D; RFC 9649.
 */
import type { ImageFormat } from './image-header.js';
import type { RasterImage } from './raster.js';

/** 1 is upright; 2 to 4 keep the sides, 5 to 8 swap them. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const ORIENTATION_TAG = 0x0112;
const ENTRY_BYTES = 12;
const EXIF_PREFIX = 'Exif\0\0';

interface Block {
  /** Where the TIFF header may begin. */
  readonly start: number;
  readonly end: number;
}

const textAt = (view: DataView, at: number, length: number): string =>
  at + length > view.byteLength
    ? ''
    : String.fromCharCode(...Array.from({ length }, (_value, index) => view.getUint8(at + index)));

function jpegExif(view: DataView): Block | null {
  let at = 2;
  while (at + 4 <= view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xda || marker === 0xd9) return null;
    const end = at + 2 + view.getUint16(at + 2);
    if (marker === 0xe1 && textAt(view, at + 4, 6) === EXIF_PREFIX) return { start: at + 10, end };
    at = marker === 0xff ? at + 1 : end;
  }
  return null;
}

function pngExif(view: DataView): Block | null {
  for (let at = 8; at + 12 <= view.byteLength;) {
    const start = at + 8;
    const end = start + view.getUint32(at);
    if (textAt(view, at + 4, 4) === 'eXIf') return { start, end };
    at = end + 4;
  }
  return null;
}

function webpExif(view: DataView): Block | null {
  for (let at = 12; at + 8 <= view.byteLength;) {
    const length = view.getUint32(at + 4, true);
    const start = at + 8;
    if (textAt(view, at, 4) === 'EXIF') {
      return { start: start + (textAt(view, start, 6) === EXIF_PREFIX ? 6 : 0), end: start + length };
    }
    at = start + length + (length % 2);
  }
  return null;
}

const EXIF_FINDERS: Partial<Record<ImageFormat, (view: DataView) => Block | null>> = {
  jpeg: jpegExif,
  png: pngExif,
  webp: webpExif,
};

/** Where the orientation's 16-bit value stands in an EXIF block, and in which byte order; null if there is none. */
function orientationField(view: DataView, { start, end }: Block): { at: number; littleEndian: boolean } | null {
  const order = textAt(view, start, 2);
  const last = Math.min(end, view.byteLength);
  if ((order !== 'II' && order !== 'MM') || start + 8 > last) return null;
  const littleEndian = order === 'II';
  const directory = start + view.getUint32(start + 4, littleEndian);
  if (directory + 2 > last) return null;
  const count = view.getUint16(directory, littleEndian);
  for (let entry = 0, at = directory + 2; entry < count && at + ENTRY_BYTES <= last; entry++, at += ENTRY_BYTES) {
    if (view.getUint16(at, littleEndian) === ORIENTATION_TAG) return { at: at + 8, littleEndian };
  }
  return null;
}

/** CRC-32 as PNG has it, over the type and data of a chunk. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

export interface UprightFile {
  /** The file, its orientation set to 1. The bytes given if it had none. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How the decoded picture has to be turned. */
  readonly orientation: Orientation;
}

/** @param file an image file; it is not changed, and damaged EXIF data counts as none */
export function withoutOrientation(file: Uint8Array<ArrayBuffer>, format: ImageFormat): UprightFile {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const block = EXIF_FINDERS[format]?.(view) ?? null;
  const field = block && orientationField(view, block);
  if (block === null || field === null) return { bytes: file, orientation: 1 };
  const value = view.getUint16(field.at, field.littleEndian);
  if (value < 2 || value > 8) return { bytes: file, orientation: 1 };
  const bytes = file.slice();
  const changed = new DataView(bytes.buffer);
  changed.setUint16(field.at, 1, field.littleEndian);
  if (format === 'png' && block.end + 4 <= bytes.length) {
    changed.setUint32(block.end, crc32(bytes.subarray(block.start - 4, block.end)));
  }
  return { bytes, orientation: value as Orientation };
}

/** Per orientation: whether the stored columns run the other way, the rows do, and whether the two are then swapped. */
const TURNS: Readonly<Record<Orientation, readonly [mirrored: boolean, upsideDown: boolean, swapped: boolean]>> = {
  1: [false, false, false],
  2: [true, false, false],
  3: [true, true, false],
  4: [false, true, false],
  5: [false, false, true],
  6: [false, true, true],
  7: [true, true, true],
  8: [true, false, true],
};

/** Turns a stored picture as its orientation says. Upright ones come back without a copy. */
export function orient<Image extends RasterImage>(image: Image, orientation: Orientation): Image {
  if (orientation === 1) return image;
  const [mirrored, upsideDown, swapped] = TURNS[orientation];
  const { channels } = image;
  const [width, height] = swapped ? [image.height, image.width] : [image.width, image.height];
  const data = new Uint8Array(image.data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [column, row] = swapped ? [y, x] : [x, y];
      const storedColumn = mirrored ? image.width - 1 - column : column;
      const storedRow = upsideDown ? image.height - 1 - row : row;
      const from = (storedRow * image.width + storedColumn) * channels;
      for (let channel = 0; channel < channels; channel++) data[to++] = image.data[from + channel]!;
    }
  }
  return { ...image, data, width, height };
}
