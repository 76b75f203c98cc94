/** Damaged image files of every format: an image within the limits or one line of ImageError, never anything else. */
import fc from 'fast-check';
import sharp from 'sharp';
import { beforeAll, expect, test } from 'vitest';
import { ImageError } from '../../src/errors.js';
import { decodeImage } from '../../src/node/decode-image.js';
import { orient, withoutOrientation } from '../../src/processor/exif-orientation.js';
import { opaqueFirstFrame } from '../../src/processor/gif-first-frame.js';
import { readImageHeader, type ImageFormat } from '../../src/processor/image-header.js';
import type { Size } from '../../src/processor/smart-resize.js';
import { readGoldenTensors } from '../support/golden.js';
import { fuzz } from '../support/fuzz.js';

type Bytes = Uint8Array<ArrayBuffer>;

const MAX_PIXELS = 1e6;
const files: Bytes[] = [...readGoldenTensors('images/encoded.safetensors').values()].map(
  ({ bytes }) => new Uint8Array(bytes),
);
/** Beside them, the formats that only Node reads. */
beforeAll(async () => {
  const picture = sharp(files[0]!);
  for (const format of ['tiff', 'avif'] as const) files.push(new Uint8Array(await picture.toFormat(format).toBuffer()));
});

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const at = (bytes: Uint8Array, where: number): number => Math.floor(where * bytes.length);

/** CRC-32, to let damage inside a PNG chunk through to the decoder. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

type SizeWriter = (view: DataView, width: number, height: number) => void;

const SIZE_WRITERS: Partial<Record<ImageFormat, SizeWriter>> = {
  png: (view, width, height) => {
    view.setUint32(16, width);
    view.setUint32(20, height);
    view.setUint32(29, crc32(new Uint8Array(view.buffer, 12, 17)));
  },
  gif: (view, width, height) => {
    view.setUint16(6, width, true);
    view.setUint16(8, height, true);
  },
};

/** Wherever a size stands as two numbers beside each other, in either order of bytes and of sides. */
function writeAnywhere(view: DataView, size: Size, width: number, height: number): void {
  for (let place = 0; place + 4 <= view.byteLength; place++) {
    for (const little of [true, false]) {
      const pair = [view.getUint16(place, little), view.getUint16(place + 2, little)];
      if (!pair.includes(size.width) || !pair.includes(size.height) || size.width === size.height) continue;
      view.setUint16(place, width & 0xffff, little);
      view.setUint16(place + 2, height & 0xffff, little);
    }
  }
}

/** The file with another size in its header, where it still has a header. */
function withSize(file: Bytes, width: number, height: number): Bytes {
  const header = readImageHeader(file);
  if (!header?.size || file.length < 33) return file;
  const bytes = file.slice();
  const view = new DataView(bytes.buffer);
  const write = SIZE_WRITERS[header.format];
  if (write) write(view, width, height);
  else writeAnywhere(view, header.size, width, height);
  return bytes;
}

const side = fc.oneof(fc.nat(64), fc.constantFrom(0, 1, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xffffffff));
type Mutation = (bytes: Bytes) => Bytes;
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  place.map(
    (end): Mutation =>
      (bytes) =>
        bytes.slice(0, at(bytes, end)),
  ),
  fc.array(fc.tuple(place, fc.nat(7)), { minLength: 1, maxLength: 12 }).map((flips): Mutation => (bytes) => {
    const changed = bytes.slice();
    for (const [where, bit] of flips) if (changed.length > 0) changed[at(changed, where)]! ^= 1 << bit;
    return changed;
  }),
  fc
    .array(fc.tuple(fc.nat(63), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)), { minLength: 1, maxLength: 4 })
    .map((changes): Mutation => (bytes) => {
      const changed = bytes.slice();
      for (const [where, value] of changes) if (where < changed.length) changed[where] = value;
      return changed;
    }),
  fc.tuple(side, side).map(
    ([width, height]): Mutation =>
      (bytes) =>
        withSize(bytes, width, height),
  ),
  fc.tuple(place, place, place).map(([from, to, target]): Mutation => (bytes) => {
    const [start, end] = [at(bytes, Math.min(from, to)), at(bytes, Math.max(from, to))];
    const place = at(bytes, target);
    return Uint8Array.from([...bytes.subarray(0, place), ...bytes.subarray(start, end), ...bytes.subarray(place)]);
  }),
  fc.tuple(place, fc.uint8Array({ maxLength: 64 })).map(
    ([where, noise]): Mutation =>
      (bytes) =>
        Uint8Array.from([...bytes.subarray(0, at(bytes, where)), ...noise]),
  ),
);

const damaged = (most: number): fc.Arbitrary<Uint8Array<ArrayBuffer>> =>
  fc
    .tuple(fc.nat(files.length - 1), fc.array(mutation, { minLength: 1, maxLength: most }))
    .map(([index, mutations]) => mutations.reduce((file, mutate) => mutate(file), files[index]!));

test('damaged files', async () => {
  let decoded = 0;
  await fuzz('image files', 5000, damaged(3), async (bytes) => {
    const before = bytes.slice();
    try {
      const image = await decodeImage(bytes, { name: 'damaged', maxPixels: MAX_PIXELS });
      expect(image.data.length).toBe(image.width * image.height * 3);
      expect(image.width * image.height).toBeLessThanOrEqual(MAX_PIXELS);
      decoded++;
    } catch (error) {
      expect(error).toBeInstanceOf(ImageError);
      expect((error as Error).message).toMatch(/^damaged: \P{Cc}+$/u);
    }
    expect(bytes).toEqual(before);
  });
  // Damage that nothing sees, in comments and after the end, leaves some of them whole.
  expect(decoded).toBeGreaterThan(0);
});

test('what looks into files before they are decoded never throws', () =>
  fuzz('image headers', 3000, damaged(4), (bytes) => {
    for (const format of ['jpeg', 'png', 'webp', 'gif', 'tiff'] as const) {
      const { bytes: upright, orientation } = withoutOrientation(bytes, format);
      expect(upright.length).toBe(bytes.length);
      expect([1, 2, 3, 4, 5, 6, 7, 8]).toContain(orientation);
    }
    expect(opaqueFirstFrame(bytes).bytes.length).toBe(bytes.length);
  }));

test('setting a file upright and turning the picture is what applying the orientation gives', async () => {
  let turned = 0;
  for (const file of files) {
    const format = readImageHeader(file)!.format;
    const { bytes, orientation } = withoutOrientation(file, format);
    const stored = await decodeImage(bytes, { orientation: 'apply' });
    expect(orient(stored, orientation)).toEqual(await decodeImage(file, { orientation: 'apply' }));
    if (orientation > 1) turned++;
  }
  expect(turned).toBe(9);
});
