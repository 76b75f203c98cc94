import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageError } from '../../src/errors.js';
import { decodeImage, readImage } from '../../src/node/decode-image.js';
import { encodePng, writePng } from '../../src/node/encode-png.js';
import { readImageHeader } from '../../src/processor/image-header.js';
import type { RasterImage } from '../../src/processor/raster.js';
import { sha256 } from '../support/formula-image.js';
import { goldenPath, readGoldenJson, readGoldenTensors, tensorOf } from '../support/golden.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'decode-image-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface FileEntry {
  readonly file: string;
  readonly size: [width: number, height: number];
}

describe('against Pillow, to the last bit', () => {
  const { entries } = readGoldenJson<{ entries: FileEntry[] }>('images/files.json');
  const tensors = readGoldenTensors('images/files.safetensors');

  test.each(entries)('$file', async ({ file, size: [width, height] }) => {
    const path = goldenPath(`images/files/${file}`);
    const stored = await readImage(path, { orientation: 'ignore' });
    expect([stored.height, stored.width, stored.channels]).toEqual(tensorOf(tensors, `${file}.rgb`).shape);
    expect(stored.data).toEqual(tensorOf(tensors, `${file}.rgb`).bytes);
    expect(readImageHeader(await readFile(path))?.size).toEqual({ width, height });
  });

  test('the EXIF orientation is applied unless told otherwise', async () => {
    const upright = await readImage(goldenPath('images/files/rotated.jpg'));
    const expected = tensorOf(tensors, 'rotated.jpg.upright');
    expect([upright.height, upright.width, upright.channels]).toEqual(expected.shape);
    expect(upright.data).toEqual(expected.bytes);
  });
});

interface EncodedEntry extends FileEntry {
  readonly orientation: number;
  readonly first: readonly number[];
  readonly rgb: string;
  readonly upright: string;
  readonly upright_size: [width: number, height: number];
}

describe('every kind of file against Pillow, to the last bit', () => {
  const { entries } = readGoldenJson<{ entries: EncodedEntry[] }>('images/encoded.json');
  const tensors = readGoldenTensors('images/encoded.safetensors');

  test.each(entries)('$file', async ({ file, size: [width, height], first, rgb, upright, upright_size }) => {
    const { bytes } = tensorOf(tensors, file);
    const before = bytes.slice();
    const stored = await decodeImage(bytes, { orientation: 'ignore', sixteenBitGrey: 'clip' });
    expect([stored.width, stored.height]).toEqual([width, height]);
    expect([...stored.data.subarray(0, 6)]).toEqual(first);
    expect(sha256(stored.data)).toBe(rgb);
    const turned = await decodeImage(bytes, { sixteenBitGrey: 'clip' });
    expect([turned.width, turned.height]).toEqual(upright_size);
    expect(sha256(turned.data)).toBe(upright);
    expect(readImageHeader(bytes)?.size).toEqual({ width, height });
    expect(bytes).toEqual(before);
  });

  test('16-bit grey keeps its high byte unless told to clip as Pillow does', async () => {
    const { bytes } = tensorOf(tensors, 'grey-16.png');
    const { data } = await decodeImage(bytes);
    expect(new Set(data).size).toBeGreaterThan(50);
    expect(sha256((await decodeImage(bytes, { sixteenBitGrey: 'clip' })).data)).not.toBe(sha256(data));
  });

  test('all eight orientations, and every kind of JPEG, are among them', () => {
    expect(new Set(entries.map(({ orientation }) => orientation)).size).toBe(8);
    for (const kind of ['cmyk', 'ycck', 'progressive', 'baseline', 'grey'])
      expect(entries.some(({ file }) => file.endsWith('.jpg') && file.includes(kind))).toBe(true);
  });
});

describe('colours', () => {
  const solid = (channels: 3 | 4, background: object) =>
    sharp({ create: { width: 2, height: 2, channels, background } });
  const first = async (bytes: Uint8Array): Promise<number[]> => [...(await decodeImage(bytes)).data.subarray(0, 3)];

  test('CMYK is converted by the plain formula, not by a profile', async () => {
    // Ink values come from decoding the same file as CMYK, since JPEG is lossy.
    const jpeg = await solid(3, { r: 200, g: 30, b: 90 }).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(jpeg).metadata()).space).toBe('cmyk');
    const [c = 0, m = 0, y = 0, k = 0] = await sharp(jpeg)
      .pipelineColourspace('cmyk')
      .toColourspace('cmyk')
      .raw()
      .toBuffer();
    const ink = [c, m, y].map((value) => Math.round(((255 - value) * (255 - k)) / 255));
    const decoded = await first(jpeg);
    for (const [index, value] of decoded.entries()) expect(Math.abs(value - ink[index]!)).toBeLessThanOrEqual(1);
  });

  test('16-bit samples keep their high byte', async () => {
    const raw = { width: 2, height: 1, channels: 3 } as const;
    const rgb = await sharp(Uint16Array.of(0x1234, 0xabcd, 0xff00, 0x00ff, 0x8000, 0x7fff), { raw })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect([...(await decodeImage(rgb)).data]).toEqual([0x12, 0xab, 0xff, 0x00, 0x80, 0x7f]);
    const grey = await sharp(Uint16Array.of(0x1234, 0xabcd), { raw: { ...raw, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect([...(await decodeImage(grey)).data]).toEqual([0x12, 0x12, 0x12, 0xab, 0xab, 0xab]);
  });

  test('colour under full transparency is kept', async () => {
    const png = await solid(4, { r: 10, g: 20, b: 30, alpha: 0 }).png().toBuffer();
    expect(await first(png)).toEqual([10, 20, 30]);
  });

  test.each(['webp', 'gif', 'tiff', 'avif'] as const)('%s is read', async (format) => {
    const bytes = await solid(3, { r: 255, g: 0, b: 0 })
      .toFormat(format, { lossless: true } as object)
      .toBuffer();
    const image = await decodeImage(bytes);
    expect([image.width, image.height]).toEqual([2, 2]);
    expect(readImageHeader(bytes)?.format).toBe(format);
    const size = readImageHeader(bytes)?.size;
    if (size !== null) expect(size).toEqual({ width: 2, height: 2 });
  });
});

describe('what cannot be decoded', () => {
  test.each<readonly [string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /^cat: the file is empty/],
    ['text', new TextEncoder().encode('hello there'), /^cat: not a known image format; supported: png, jpeg/],
    [
      'SVG',
      new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      /not a known image format/,
    ],
    ['a PNG of two gigapixels', pngHeader(50_000, 40_000), /50000 x 40000 pixels are above the limit of 100000000/],
    ['a PNG without pixels', pngHeader(0, 10), /no pixels \(0 x 10\)/],
    ['a PNG header alone', pngHeader(10, 10), /corrupt or truncated/],
  ])('%s', async (_name, bytes, message) => {
    await expect(decodeImage(bytes, { name: 'cat' })).rejects.toThrow(message);
    await expect(decodeImage(bytes, { name: 'cat' })).rejects.toThrow(ImageError);
  });

  test('the pixel limit can be set, also for formats whose size only a decoder finds', async () => {
    for (const format of ['png', 'tiff'] as const) {
      const bytes = await sharp({ create: { width: 20, height: 10, channels: 3, background: 'red' } })
        .toFormat(format)
        .toBuffer();
      await expect(decodeImage(bytes, { maxPixels: 199 })).rejects.toThrow(/20 x 10 pixels are above the limit of 199/);
      expect((await decodeImage(bytes, { maxPixels: 200 })).width).toBe(20);
    }
  });

  test('paths', async () => {
    await expect(readImage(join(folder, 'none.png'))).rejects.toThrow(/none\.png: no such file; check the path/);
    await expect(readImage(folder)).rejects.toThrow(/not a file|cannot be read/);
    await expect(readImage('/dev/zero')).rejects.toThrow(/not a file/);
    await writeFile(join(folder, 'bad.png'), 'not a picture');
    await expect(readImage(join(folder, 'bad.png'))).rejects.toThrow(/^bad\.png: not a known image format/);
  });

  test('files cut short or with damaged bytes give an image or an ImageError of one line', async () => {
    const names = ['rgb.png', 'palette.png', 'rgb.jpg', 'progressive.jpg'];
    const files = await Promise.all(names.map((name) => readFile(goldenPath(`images/files/${name}`))));
    const damage = fc.array(fc.record({ at: fc.double({ min: 0, max: 0.999, noNaN: true }), value: fc.nat(255) }), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.double({ min: 0, max: 1, noNaN: true }),
        damage,
        async (file, keep, changes) => {
          const bytes = new Uint8Array(file.subarray(0, Math.ceil(file.length * keep)));
          for (const { at, value } of changes) if (bytes.length > 0) bytes[Math.floor(at * bytes.length)] = value;
          try {
            const image = await decodeImage(bytes, { name: 'damaged', maxPixels: 1e6 });
            expect(image.data.length).toBe(image.width * image.height * 3);
          } catch (error) {
            expect(error).toBeInstanceOf(ImageError);
            expect((error as Error).message).toMatch(/^damaged: \P{Cc}+$/u);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('every cut of a good file is refused, none gives half a picture', async () => {
    for (const name of ['rgb.png', 'rgb.jpg', 'progressive.jpg']) {
      const file = await readFile(goldenPath(`images/files/${name}`));
      for (let end = 0; end < file.length - 16; end += 37) {
        await expect(decodeImage(file.subarray(0, end))).rejects.toThrow(ImageError);
      }
    }
  });

  test('headers of random bytes never throw', () => {
    const starts = [
      [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
      [0xff, 0xd8, 0xff],
      [0x47, 0x49, 0x46, 0x38, 0x39, 0x61],
      [0x52, 0x49, 0x46, 0x46, 0, 0, 0, 0, 0x57, 0x45, 0x42, 0x50],
    ];
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 64 }), (start, rest) => {
        expect(readImageHeader(Uint8Array.from([...start, ...rest]))).not.toBeNull();
        readImageHeader(rest);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('PNG out', () => {
  const image = fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
    .chain(([width, height]) =>
      fc
        .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
        .map((data): RasterImage => ({ data, width, height, channels: 3 })),
    );

  test('what is written is what is read', async () => {
    await fc.assert(
      fc.asyncProperty(image, async (value) => {
        expect(await decodeImage(await encodePng(value))).toEqual(value);
      }),
      { numRuns: 40 },
    );
  });

  test('grey and alpha are kept', async () => {
    const grey = await encodePng({ data: Uint8Array.of(0, 128), width: 2, height: 1, channels: 1 });
    expect((await sharp(grey).metadata()).channels).toBe(1);
    const alpha = await encodePng({ data: Uint8Array.of(1, 2, 3, 4), width: 1, height: 1, channels: 4 });
    expect([...(await sharp(alpha).raw().toBuffer())]).toEqual([1, 2, 3, 4]);
  });

  test('a file is there whole or not at all', async () => {
    const value: RasterImage = { data: Uint8Array.of(1, 2, 3), width: 1, height: 1, channels: 3 };
    await writePng(join(folder, 'a.png'), value);
    expect(await readImage(join(folder, 'a.png'))).toEqual(value);
    const before = await readdir(folder);
    await expect(writePng(join(folder, 'a.png'), { ...value, width: 2 })).rejects.toThrow(ImageError);
    await expect(writePng(join(folder, 'none', 'a.png'), value)).rejects.toThrow(/none/);
    expect(await readdir(folder)).toEqual(before);
    expect(await readImage(join(folder, 'a.png'))).toEqual(value);
  });
});

/** The first bytes of a PNG of this size, with no picture behind them. */
function pngHeader(width: number, height: number): Uint8Array {
  const bytes = new Uint8Array(33);
  bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52]);
  new DataView(bytes.buffer).setUint32(16, width);
  new DataView(bytes.buffer).setUint32(20, height);
  bytes.set([8, 2], 24);
  return bytes;
}
