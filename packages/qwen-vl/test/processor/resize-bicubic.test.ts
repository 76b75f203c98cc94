import { bicubicTaps } from '@mindseye/tensor-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RasterImage } from '../../src/processor/raster.js';
import { resizeBicubic } from '../../src/processor/resize-bicubic.js';

const row = (samples: readonly number[]): RasterImage => ({
  data: Uint8Array.from(samples),
  width: samples.length,
  height: 1,
  channels: 1,
});

describe('against values computed with Pillow', () => {
  test.each([
    [
      [0, 50, 100, 150, 200, 250, 255, 255],
      [27, 123, 225, 255],
    ],
    [
      [0, 255, 0, 255, 0],
      [0, 114, 252, 59, 59, 252, 114, 0],
    ],
    [
      [10, 200, 30, 40, 250, 60, 70, 80, 90, 255],
      [77, 100, 82, 161, 59, 78, 205],
    ],
  ])('%j -> %j', (samples, expected) => {
    const source = row(samples);
    expect([...resizeBicubic(source, { height: 1, width: expected.length }).data]).toEqual(expected);
    const column = { ...source, width: 1, height: samples.length };
    expect([...resizeBicubic(column, { height: expected.length, width: 1 }).data]).toEqual(expected);
  });

  test('integer weights of 4 -> 8 at position 3', () => {
    const { starts, counts, weights, stride } = bicubicTaps(4, 8);
    expect(starts[3]).toBe(0);
    expect([...weights.subarray(3 * stride, 3 * stride + counts[3]!)]).toEqual([-294912, 3637248, 950272, -98304]);
  });
});

const side = fc.integer({ min: 1, max: 24 });
const image = fc
  .tuple(side, side, fc.constantFrom(1, 3, 4))
  .chain(([width, height, channels]) =>
    fc
      .uint8Array({ minLength: width * height * channels, maxLength: width * height * channels })
      .map((data): RasterImage => ({ data, width, height, channels: channels as 1 | 3 | 4 })),
  );

/** Channel `channel` of an image as an image of its own. */
function plane(source: RasterImage, channel: number): RasterImage {
  const data = source.data.filter((_value, index) => index % source.channels === channel);
  return { data, width: source.width, height: source.height, channels: 1 };
}

test('every channel is resized as if it were alone', () => {
  fc.assert(
    fc.property(image, side, side, (source, width, height) => {
      const whole = resizeBicubic(source, { width, height });
      for (let channel = 0; channel < source.channels; channel++) {
        expect(plane(whole, channel).data).toEqual(resizeBicubic(plane(source, channel), { width, height }).data);
      }
    }),
  );
});

test('a flat image stays flat, whatever the sizes', () => {
  fc.assert(
    fc.property(side, side, side, side, fc.nat(255), (width, height, toWidth, toHeight, value) => {
      const flat: RasterImage = { data: new Uint8Array(width * height).fill(value), width, height, channels: 1 };
      const resized = resizeBicubic(flat, { width: toWidth, height: toHeight });
      expect(resized.data.every((sample) => sample === value)).toBe(true);
    }),
  );
});

test('mirroring commutes with resizing up to a rounding of one level', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(255), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 60 }),
      (samples, width) => {
        const forward = [...resizeBicubic(row(samples), { width, height: 1 }).data];
        const backward = [...resizeBicubic(row(samples.toReversed()), { width, height: 1 }).data].toReversed();
        for (const [index, value] of forward.entries())
          expect(Math.abs(value - backward[index]!)).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test('the asked size needs no work and gives the same object', () => {
  const source = row([1, 2, 3]);
  expect(resizeBicubic(source, { width: 3, height: 1 })).toBe(source);
});

test('weights of every output sum to one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), (from, to) => {
      const { starts, counts, weights, stride } = bicubicTaps(from, to);
      for (let x = 0; x < to; x++) {
        expect(counts[x]).toBeGreaterThan(0);
        expect(starts[x]! + counts[x]!).toBeLessThanOrEqual(from);
        const sum = weights.subarray(x * stride, x * stride + counts[x]!).reduce((a, b) => a + b, 0);
        expect(Math.abs(sum - 2 ** 22)).toBeLessThanOrEqual(stride);
      }
    }),
  );
});

test('a target that is no size is refused', () => {
  expect(() => resizeBicubic(row([1]), { width: 0, height: 1 })).toThrow(
    /width must be a positive whole number, got 0/,
  );
});
