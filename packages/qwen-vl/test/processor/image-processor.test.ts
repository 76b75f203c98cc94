import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { publishedPreprocessorConfig, tinyPreprocessorConfig } from '../../src/config/presets.js';
import { ImageError } from '../../src/errors.js';
import { toOriginalPoint, toResizedPoint, visualTokenBox } from '../../src/processor/coordinates.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import { toRgb, type RasterImage } from '../../src/processor/raster.js';

const gradient = (width: number, height: number, channels: 1 | 3 | 4 = 3): RasterImage => ({
  data: Uint8Array.from({ length: width * height * channels }, (_value, index) => (index * 37) % 256),
  width,
  height,
  channels,
});

describe('conversion to RGB', () => {
  test('grey is replicated, alpha is dropped and the hidden colour kept', () => {
    expect([...toRgb({ data: Uint8Array.of(7, 9), width: 2, height: 1, channels: 1 }).data]).toEqual([
      7, 7, 7, 9, 9, 9,
    ]);
    expect([...toRgb({ data: Uint8Array.of(1, 2, 3, 0), width: 1, height: 1, channels: 4 }).data]).toEqual([1, 2, 3]);
  });

  test('an RGB image is not copied', () => {
    const image = gradient(2, 2);
    expect(toRgb(image).data).toBe(image.data);
  });

  test.each([
    [{ width: 0 }, /width must be a whole number from 1/],
    [{ height: 1.5 }, /height must be a whole number/],
    [{ width: 1e9 }, /from 1 to 65535, got 1000000000/],
    [{ channels: 2 }, /channels must be 1 \(grey\), 3 \(RGB\) or 4/],
    [{ height: 3 }, /2 x 3 pixels of 3 channels need 18 bytes, got 12/],
  ])('%j is refused', (change, message) => {
    const image = { ...gradient(2, 2), ...change } as RasterImage;
    expect(() => toRgb(image, 'cat.png')).toThrow(message);
    expect(() => toRgb(image, 'cat.png')).toThrow(ImageError);
    expect(() => toRgb(image, 'cat.png')).toThrow(/^cat\.png: /);
  });
});

describe('ImageProcessor', () => {
  test('the tiny preset turns any square into 4 x 4 visual tokens', () => {
    const { imageGridThw, images, pixelValues, patchDimension } = new ImageProcessor(tinyPreprocessorConfig()).process([
      gradient(112, 112),
      gradient(31, 31, 1),
    ]);
    expect(imageGridThw).toEqual([
      [1, 8, 8],
      [1, 8, 8],
    ]);
    expect(images.map((image) => image.visualTokens)).toEqual([16, 16]);
    expect(patchDimension).toBe(1176);
    expect(pixelValues.length).toBe(2 * 64 * 1176);
  });

  test('several images are the single ones one after the other', () => {
    const processor = new ImageProcessor(publishedPreprocessorConfig());
    const sources = [gradient(60, 90), gradient(20, 200, 4), gradient(13, 17, 1)];
    const together = processor.process(sources);
    const alone = sources.flatMap((image) => [...processor.process([image]).pixelValues]);
    expect([...together.pixelValues]).toEqual(alone);
  });

  test('a budget replaces that of the file, and one given alone moves the other out of its way', () => {
    const processor = new ImageProcessor(publishedPreprocessorConfig());
    expect(processor.geometry(1080, 1920, { minPixels: 256 * 784, maxPixels: 1280 * 784 }).visualTokens).toBe(1222);
    expect(processor.geometry(1080, 1920, { maxPixels: 784 }).visualTokens).toBe(1);
    const tiny = new ImageProcessor(tinyPreprocessorConfig());
    expect(tiny.geometry(112, 112, { minPixels: 4 * 12544 }).resized).toEqual({ height: 224, width: 224 });
  });

  test('errors name the image', () => {
    const processor = new ImageProcessor(publishedPreprocessorConfig());
    expect(() => processor.process([gradient(4, 4), gradient(1, 300)])).toThrow(/^image 2: .*aspect ratio/);
  });

  test('a budget that would take gigabytes is refused before allocation', () => {
    const processor = new ImageProcessor(publishedPreprocessorConfig());
    expect(() => processor.process([gradient(50, 50)], { minPixels: 2 ** 33, maxPixels: 2 ** 34 })).toThrow(
      /lower maxPixels/,
    );
  });
});

describe('coordinates', () => {
  const geometry = new ImageProcessor(publishedPreprocessorConfig()).geometry(480, 640);

  test('there and back again', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 640, noNaN: true }),
        fc.double({ min: 0, max: 480, noNaN: true }),
        (x, y) => {
          const back = toOriginalPoint(geometry, toResizedPoint(geometry, { x, y }));
          expect(back.x).toBeCloseTo(x, 9);
          expect(back.y).toBeCloseTo(y, 9);
        },
      ),
    );
  });

  test('corners meet corners', () => {
    expect(toOriginalPoint(geometry, { x: 644, y: 476 })).toEqual({ x: 640, y: 480 });
  });

  test('visual tokens tile the original image', () => {
    const boxes = Array.from({ length: geometry.visualTokens }, (_value, index) => visualTokenBox(geometry, index));
    expect(boxes.reduce((sum, box) => sum + box.width * box.height, 0)).toBeCloseTo(640 * 480, 6);
    expect(boxes.at(-1)!.x + boxes.at(-1)!.width).toBeCloseTo(640, 9);
    expect(boxes.at(-1)!.y + boxes.at(-1)!.height).toBeCloseTo(480, 9);
    expect(() => visualTokenBox(geometry, 391)).toThrow(/from 0 to 390/);
  });
});
