/**
 * The first picture of a GIF as Pillow's `convert("RGB")` shows it: transparent pixels keep the colour their index names.
 *
 * Decoders turn transparent pixels into transparent black, and the colour is gone. So the transparency flag of the first
 * picture is cleared in the bytes before they are decoded, and what the picture does not cover of the screen is painted
 * afterwards with the colour Pillow starts from: that of the transparent index, or of index 0. Only bounds-checked reads, one
 * walk over the blocks in front of the first picture.
 *
 * Source: GIF89a sections 18 to 23; Pillow `GifImagePlugin.py`.
 */
import type { RasterImage } from './raster.js';

export interface OpaqueGif {
  /** The file with nothing transparent in its first picture. The bytes given if there was nothing to change. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where the first picture lies on the screen; null if it covers all of it. */
  readonly uncovered: GifCover | null;
}

interface GifCover {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly fill: readonly [red: number, green: number, blue: number];
}

const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const IMAGE_DESCRIPTOR = 0x2c;
const SCREEN_END = 13;

/** Bytes of the colour table a packed field announces; 0 without one. */
const tableLength = (packed: number): number => (packed & 0x80 ? 3 * 2 ** ((packed & 7) + 1) : 0);

/** Offset of the byte after a chain of sub-blocks. */
function afterSubBlocks(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && bytes[at] !== 0) at += bytes[at]! + 1;
  return at + 1;
}

/** @param file a GIF; anything else, or a file cut short, comes back as it is */
export function opaqueFirstFrame(file: Uint8Array<ArrayBuffer>): OpaqueGif {
  const unchanged = { bytes: file, uncovered: null };
  if (file.length < SCREEN_END) return unchanged;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const screenTable = tableLength(file[10]!);
  let at = SCREEN_END + screenTable;
  let control = -1;
  while (file[at] === EXTENSION) {
    if (file[at + 1] === GRAPHIC_CONTROL) control = at + 3;
    at = afterSubBlocks(file, at + 2);
  }
  if (file[at] !== IMAGE_DESCRIPTOR || at + 10 > file.length) return unchanged;

  const isTransparent = control >= 0 && (file[control]! & 1) === 1;
  const bytes = isTransparent ? file.slice() : file;
  if (isTransparent) bytes[control]! &= 0xfe;
  const [left, top, width, height] = [1, 3, 5, 7].map((offset) => view.getUint16(at + offset, true)) as Rectangle;
  const [right, bottom] = [left + width, top + height];
  if (left === 0 && top === 0 && right >= view.getUint16(6, true) && bottom >= view.getUint16(8, true)) {
    return { bytes, uncovered: null };
  }
  const hasOwnTable = tableLength(file[at + 9]!) > 0;
  const colour = (hasOwnTable ? at + 10 : SCREEN_END) + 3 * (isTransparent ? file[control + 3]! : 0);
  const fill = [file[colour] ?? 0, file[colour + 1] ?? 0, file[colour + 2] ?? 0] as const;
  return { bytes, uncovered: { left, top, right, bottom, fill } };
}

type Rectangle = [left: number, top: number, width: number, height: number];

/** Paints what the first picture does not cover. */
export function paintUncovered<Image extends RasterImage>(image: Image, uncovered: GifCover | null): Image {
  if (uncovered === null) return image;
  const { width, channels } = image;
  const data = new Uint8Array(image.data);
  const { left, top, right, bottom, fill } = uncovered;
  for (let y = 0, to = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++, to += channels) {
      if (y >= top && y < bottom && x >= left && x < right) continue;
      data.set(fill, to);
      if (channels === 4) data[to + 3] = 255;
    }
  }
  return { ...image, data };
}
