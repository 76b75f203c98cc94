import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ImageError } from '../../src/errors.js';
import { MAX_ASPECT_RATIO, roundHalfToEven, smartResize } from '../../src/processor/smart-resize.js';

type Vector = readonly [height: number, width: number, toHeight: number, toWidth: number];

const tables: readonly (readonly [
  name: string,
  factor: number,
  min: number,
  max: number,
  vectors: readonly Vector[],
])[] = [
  [
    'published Qwen2.5-VL',
    28,
    3136,
    12845056,
    [
      [224, 224, 224, 224],
      [480, 640, 476, 644],
      [1080, 1920, 1092, 1932],
      [2160, 3840, 2156, 3836],
      [4320, 7680, 2688, 4760],
      [14, 14, 56, 56],
      [42, 70, 56, 56],
      [98, 210, 112, 224],
      [20, 2000, 28, 1988],
      [1365, 2048, 1372, 2044],
    ],
  ],
  [
    '256 to 1280 tokens',
    28,
    256 * 784,
    1280 * 784,
    [
      [480, 640, 476, 644],
      [1080, 1920, 728, 1316],
      [42, 70, 364, 588],
    ],
  ],
  [
    'class default',
    28,
    56 * 56,
    14 * 14 * 4 * 1280,
    [
      [100, 175, 112, 168],
      [28, 28, 56, 56],
      [27, 500, 28, 504],
      [1024, 1536, 812, 1204],
      [333, 500, 336, 504],
      [2160, 3840, 728, 1316],
      [56, 3000, 56, 2996],
      [14, 1400, 28, 560],
    ],
  ],
  [
    'factor 32',
    32,
    65536,
    16777216,
    [
      [224, 224, 256, 256],
      [480, 640, 480, 640],
      [1080, 1920, 1088, 1920],
      [2160, 3840, 2176, 3840],
      [4320, 7680, 3072, 5440],
      [42, 70, 224, 352],
      [20, 2000, 32, 2560],
      [1365, 2048, 1376, 2048],
    ],
  ],
];

describe.each(tables)('smartResize, %s', (_name, factor, minPixels, maxPixels, vectors) => {
  test.each(vectors)('%i x %i -> %i x %i', (height, width, toHeight, toWidth) => {
    expect(smartResize(height, width, { factor, minPixels, maxPixels })).toEqual({ height: toHeight, width: toWidth });
  });
});

const side = fc.integer({ min: 1, max: 10_000 });

test('sides are multiples of the factor, at least one factor, and the area keeps to the budget', () => {
  fc.assert(
    fc.property(
      side,
      side,
      fc.constantFrom(2, 8, 28, 32),
      fc.integer({ min: 4, max: 5000 }),
      (height, width, factor, cells) => {
        fc.pre(Math.max(height, width) / Math.min(height, width) <= MAX_ASPECT_RATIO);
        const minPixels = 4 * factor * factor;
        const maxPixels = cells * factor * factor;
        const size = smartResize(height, width, { factor, minPixels, maxPixels });
        expect(size.height % factor).toBe(0);
        expect(size.width % factor).toBe(0);
        expect(Math.min(size.height, size.width)).toBeGreaterThanOrEqual(factor);
        const rounded = roundHalfToEven(height / factor) * roundHalfToEven(width / factor) * factor * factor;
        if (rounded < minPixels) {
          // Enlarging rounds both sides up, as in transformers: it may pass a maximum that lies close to the minimum, but
          // by no more than it has to.
          expect(size.height * size.width).toBeGreaterThanOrEqual(minPixels);
          expect((size.height - factor) * (size.width - factor)).toBeLessThanOrEqual(minPixels);
        } else if (Math.min(size.height, size.width) > factor) {
          // A strip one factor thick may stay above a tiny budget, since neither side can become 0.
          expect(size.height * size.width).toBeLessThanOrEqual(maxPixels);
        }
      },
    ),
  );
});

test('a size within the budget that fits the factor is a fixed point', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }), (rows, columns) => {
      const size = { height: rows * 28, width: columns * 28 };
      expect(smartResize(size.height, size.width, { factor: 28, minPixels: 1, maxPixels: 2 ** 28 })).toEqual(size);
    }),
  );
});

test('swapping the sides swaps the result', () => {
  fc.assert(
    fc.property(side, side, (height, width) => {
      fc.pre(Math.max(height, width) / Math.min(height, width) <= MAX_ASPECT_RATIO);
      const options = { factor: 28, minPixels: 3136, maxPixels: 1003520 };
      const { height: h, width: w } = smartResize(height, width, options);
      expect(smartResize(width, height, options)).toEqual({ height: w, width: h });
    }),
  );
});

test('halves round to the even number', () => {
  expect([0.5, 1.5, 2.5, 3.5, -1.5, 2.4999, 2.5001, 7].map(roundHalfToEven)).toEqual([0, 2, 2, 4, -2, 2, 3, 7]);
});

test('what cannot be resized is refused by name', () => {
  const options = { factor: 28, minPixels: 3136, maxPixels: 12845056 };
  expect(() => smartResize(1, 201, options)).toThrow(/aspect ratio of 201\.0, above 200/);
  expect(() => smartResize(0, 5, options)).toThrow(/height must be a positive whole number, got 0/);
  expect(() => smartResize(5, Number.NaN, options)).toThrow(ImageError);
  expect(() => smartResize(5, 5, { ...options, minPixels: 2 ** 28 })).toThrow(/minPixels .* must not exceed maxPixels/);
});
