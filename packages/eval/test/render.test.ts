import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlacedObject, SceneGraph } from '../src/index.js';
import {
  COLORS,
  COLOR_RGB,
  SCENE_PIXELS,
  SHAPES,
  cellsOf,
  counting,
  evaluate,
  greyImage,
  renderScene,
} from '../src/index.js';
import { SHAPE_GEOMETRY } from '../src/raster/shapes.js';
import { cellReader, readCells } from './support/cell-reader.js';

const STILL = { level: 200, gradient: [0, 0], brightness: 1, noise: 0 } as const;
const sceneOf = (...objects: readonly PlacedObject[]): SceneGraph => ({ objects, surroundings: STILL });

const anyObject: fc.Arbitrary<PlacedObject> = fc
  .record({
    cell: fc.constant(5),
    shape: fc.constantFrom(...SHAPES),
    color: fc.constantFrom(...COLORS),
    x: fc.double({ min: 40, max: 44, noNaN: true }),
    y: fc.double({ min: 40, max: 44, noNaN: true }),
    size: fc.double({ min: 11, max: 16.5, noNaN: true }),
    tilt: fc.double({ min: -0.06, max: 0.06, noNaN: true }),
  })
  .map((object) => ({ ...object, rgb: COLOR_RGB[object.color] }));

describe('a rendered object', () => {
  test('covers size² pixels whatever its shape, place and tilt', () => {
    fc.assert(
      fc.property(anyObject, (object) => {
        const { data } = renderScene(sceneOf(object), [0, 0]);
        const [red] = object.rgb;
        let covered = 0;
        for (let at = 0; at < data.length; at += 3) covered += ((data[at] ?? 0) - STILL.level) / (red - STILL.level);
        // Sixteen points per pixel place an edge to a quarter of a pixel.
        expect(Math.abs(covered / object.size ** 2 - 1)).toBeLessThan(0.1);
      }),
      { numRuns: 60 },
    );
  });

  test('has its colour inside, the background outside, and a mixture on its edge', () => {
    const object: PlacedObject = {
      cell: 5,
      shape: 'square',
      color: 'red',
      x: 42.5,
      y: 42,
      size: 12,
      tilt: 0,
      rgb: [214, 36, 36],
    };
    const { data } = renderScene(sceneOf(object), [0, 0]);
    const pixel = (x: number, y: number) => [
      ...data.subarray((y * SCENE_PIXELS + x) * 3, (y * SCENE_PIXELS + x) * 3 + 3),
    ];
    // The square spans 36.5 to 48.5 across and 36 to 48 down.
    expect(pixel(42, 42)).toEqual([214, 36, 36]);
    expect(pixel(36, 42)).toEqual([207, 118, 118]);
    expect(pixel(48, 36)).toEqual([207, 118, 118]);
    expect(pixel(35, 42)).toEqual([200, 200, 200]);
    expect(pixel(42, 48)).toEqual([200, 200, 200]);
  });

  test('is geometry of area one', () => {
    for (const { halfWidth, halfHeight, inside } of Object.values(SHAPE_GEOMETRY)) {
      const steps = 1000;
      let hits = 0;
      let outside = 0;
      for (let i = 0; i < steps * steps; i++) {
        const x = (((i % steps) + 0.5) / steps) * 2 - 1;
        const y = ((Math.floor(i / steps) + 0.5) / steps) * 2 - 1;
        if (!inside(x, y)) continue;
        hits++;
        if (Math.abs(x) > halfWidth || Math.abs(y) > halfHeight) outside++;
      }
      expect(outside).toBe(0);
      expect(Math.abs((4 * hits) / steps ** 2 - 1)).toBeLessThan(0.01);
    }
  });
});

test('light: the gradient runs across, brightness scales, and noise stays within its bounds and averages to nothing', () => {
  const surroundings = { level: 200, gradient: [20, 0], brightness: 0.5, noise: 8 } as const;
  const { data } = renderScene({ objects: [], surroundings }, [7, 7]);
  let sum = 0;
  let widest = 0;
  for (let at = 0; at < data.length; at++) {
    const x = Math.floor(at / 3) % SCENE_PIXELS;
    const deviation = (data[at] ?? 0) - 0.5 * (200 + 20 * ((x + 0.5) / SCENE_PIXELS - 0.5));
    sum += deviation;
    widest = Math.max(widest, Math.abs(deviation));
  }
  expect(Math.abs(sum / data.length)).toBeLessThan(0.1);
  expect(widest).toBeGreaterThan(7.5);
  expect(widest).toBeLessThanOrEqual(8.5);
});

test('every cell of every image can be read back from its pixels at 112 × 112', () => {
  for (let index = 0; index < 200; index++) {
    const { image, metadata } = counting.generate('test', index);
    expect(readCells(image)).toEqual(cellsOf(metadata.scene));
  }
});

test('a solver that counts in the pixels answers every question', async () => {
  const { summary } = await evaluate(counting, cellReader, { split: 'validation', limit: 100 });
  expect(summary.accuracy).toBe(1);
});

test('a grey image is grey', () => {
  const { data, width, height } = greyImage(3, 2, 90);
  expect([width, height, [...data]]).toEqual([3, 2, Array.from({ length: 18 }, () => 90)]);
});
