import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { publishedPreprocessorConfig } from '../../src/config/presets.js';
import { ImageError } from '../../src/errors.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import { splitTokens, type PixelBudget } from '../../src/processor/pixel-budget.js';
import type { RasterImage } from '../../src/processor/raster.js';
import { MAX_ASPECT_RATIO, smartResize } from '../../src/processor/smart-resize.js';
import { VideoProcessor } from '../../src/processor/video-processor.js';

const config = publishedPreprocessorConfig();
const processor = new ImageProcessor(config);
const image = (width: number, height: number): RasterImage => ({
  data: new Uint8Array(width * height * 3),
  width,
  height,
  channels: 3,
});
const side = fc.integer({ min: 1, max: 3000 });
const size = fc.tuple(side, side).filter(([a, b]) => Math.max(a, b) / Math.min(a, b) <= MAX_ASPECT_RATIO);

describe('a limit of tokens', () => {
  test('is kept by every image, however long', () => {
    fc.assert(
      fc.property(size, fc.integer({ min: 1, max: 400 }), ([height, width], maxVisualTokens) => {
        const { visualTokens, tokenGrid, resized } = processor.geometry(height, width, { maxVisualTokens });
        expect(visualTokens).toBeGreaterThanOrEqual(1);
        expect(visualTokens).toBeLessThanOrEqual(maxVisualTokens);
        expect(resized).toEqual({ height: tokenGrid.height * 28, width: tokenGrid.width * 28 });
      }),
      { numRuns: 500 },
    );
  });

  test('changes nothing for an image that is within it', () => {
    fc.assert(
      fc.property(size, ([height, width]) => {
        const free = processor.geometry(height, width);
        expect(processor.geometry(height, width, { maxVisualTokens: free.visualTokens })).toEqual(free);
      }),
    );
  });

  test('is what the same limit in pixels is, where that can be kept', () => {
    fc.assert(
      fc.property(size, fc.integer({ min: 4, max: 400 }), ([height, width], maxVisualTokens) => {
        const maxPixels = maxVisualTokens * 784;
        const inPixels = smartResize(height, width, { factor: 28, minPixels: config.minPixels, maxPixels });
        fc.pre(inPixels.height * inPixels.width <= maxPixels);
        expect(processor.geometry(height, width, { maxVisualTokens }).resized).toEqual(inPixels);
      }),
    );
  });

  test('a line is squeezed on its long side', () => {
    expect(processor.geometry(20, 2000, { maxPixels: 784 }).visualTokens).toBe(10);
    expect(processor.geometry(20, 2000, { maxVisualTokens: 3 }).resized).toEqual({ height: 28, width: 84 });
  });
});

describe('a limit for all together', () => {
  const tokens = (sizes: readonly (readonly [number, number])[], budget: PixelBudget): number[] =>
    processor
      .process(
        sizes.map(([width, height]) => image(width, height)),
        budget,
      )
      .images.map((one) => one.visualTokens);

  test('leaves small images as they are and makes large ones equally large', () => {
    expect(
      tokens(
        [
          [56, 56],
          [560, 560],
          [840, 840],
        ],
        {},
      ),
    ).toEqual([4, 400, 900]);
    const [small, ...large] = tokens(
      [
        [56, 56],
        [560, 560],
        [840, 840],
      ],
      { totalVisualTokens: 204 },
    );
    expect([small, ...large]).toEqual([4, 100, 100]);
    expect(
      tokens(
        [
          [56, 56],
          [560, 560],
        ],
        { totalVisualTokens: 404 },
      ),
    ).toEqual([4, 400]);
  });

  test('is kept', () => {
    const sizes = fc.array(fc.tuple(fc.integer({ min: 14, max: 400 }), fc.integer({ min: 14, max: 400 })), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 5, max: 300 }), (all, totalVisualTokens) => {
        const sum = tokens(all, { totalVisualTokens }).reduce((one, other) => one + other, 0);
        expect(sum).toBeLessThanOrEqual(totalVisualTokens);
      }),
      { numRuns: 60 },
    );
  });

  test('a split is fair: nobody below the level who could use more', () => {
    const wants = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 50 })), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(wants, fc.integer({ min: 1, max: 300 }), (pairs, total) => {
        const wanted = pairs.map(([want, least]) => Math.max(want, least));
        const least = pairs.map((pair) => pair[1]);
        const sum = (values: readonly number[]): number => values.reduce((one, other) => one + other, 0);
        if (sum(least) > total && sum(wanted) > total) {
          expect(() => splitTokens(wanted, least, total)).toThrow(ImageError);
          return;
        }
        const shares = splitTokens(wanted, least, total);
        expect(sum(shares)).toBe(Math.min(total, sum(wanted)));
        for (const [index, share] of shares.entries()) {
          expect(share).toBeGreaterThanOrEqual(least[index]!);
          expect(share).toBeLessThanOrEqual(wanted[index]!);
          // Whoever has more than me, and not because it must, has at most one more, unless I have all I want.
          if (share === wanted[index]) continue;
          for (const [other, theirs] of shares.entries())
            if (theirs > least[other]!) expect(theirs).toBeLessThanOrEqual(share + 1);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('limits that contradict themselves', () => {
  test.each<readonly [PixelBudget, RegExp]>([
    [{ minPixels: 2000, maxPixels: 1000 }, /minPixels 2000 must not exceed maxPixels 1000/],
    [{ maxVisualTokens: 0 }, /maxVisualTokens must be a positive whole number, got 0/],
    [{ totalVisualTokens: 1.5 }, /totalVisualTokens must be a positive whole number, got 1.5/],
    [{ maxPixels: NaN }, /maxPixels must be a positive whole number, got NaN/],
    [{ minPixels: 7840, maxVisualTokens: 9 }, /minPixels 7840 needs more than 9 visual tokens of 28 x 28 pixels/],
    [{ totalVisualTokens: 1 }, /2 images and videos need at least 2 visual tokens, above totalVisualTokens 1/],
  ])('%j', (budget, message) => {
    const run = (): unknown => processor.process([image(99, 99), image(99, 99)], budget);
    expect(run).toThrow(message);
    expect(run).toThrow(ImageError);
  });

  test('what a hostile checkpoint would have allocated', () => {
    const hostile = (more: object): unknown =>
      new ImageProcessor({ ...config, minPixels: 2 ** 28, maxPixels: 2 ** 28, ...more }).process([image(40, 30)]);
    expect(() => hostile({})).toThrow(/patches are more than 262144; lower maxPixels/);
    expect(() => hostile({ patchSize: 64, temporalPatchSize: 16 })).toThrow(
      /values; lower maxPixels, or check patch_size/,
    );
    expect(() => hostile({})).toThrow(ImageError);
  });

  test('a video with more frames than tokens', () => {
    const videos = new VideoProcessor(config);
    expect(videos.geometry(20, 100, 100, { maxVisualTokens: 10 }).visualTokens).toBe(10);
    expect(() => videos.geometry(21, 100, 100, { maxVisualTokens: 10 })).toThrow(
      /21 frames need at least 11 visual tokens, more than the 10 allowed; sample fewer frames/,
    );
  });
});
