import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rampColor } from '../src/heat-map/color-ramp.js';
import { overlay } from '../src/heat-map/overlay.js';

const lightness = ([red, green, blue]: readonly number[]): number => 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;

describe('heat map', () => {
  test('the ramp gets lighter all the way', () => {
    const steps = Array.from({ length: 65 }, (_, i) => lightness(rampColor(i / 64)));
    expect(steps.every((step, i) => i === 0 || step > steps[i - 1]!)).toBe(true);
    expect(steps[0]).toBeLessThan(30);
    expect(steps.at(-1)).toBeGreaterThan(220);
  });

  test('any map over any image gives a picture of the same width with a strip below', () => {
    const sizes = fc.record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 40 }) });
    const grids = fc.record({ columns: fc.integer({ min: 1, max: 6 }), rows: fc.integer({ min: 1, max: 6 }) });
    fc.assert(
      fc.property(
        sizes,
        grids,
        fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 36, maxLength: 36 }),
        ({ width, height }, grid, values) => {
          const image = { data: new Uint8Array(3 * width * height).fill(128), width, height, channels: 3 } as const;
          const drawn = overlay(image, {
            ...grid,
            weights: Float32Array.from(values).subarray(0, grid.columns * grid.rows),
          });
          expect(drawn.width).toBe(width);
          expect(drawn.height).toBeGreaterThan(height);
          expect(drawn.data.length).toBe(3 * drawn.width * drawn.height);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('the brightest place is where the greatest weight is, in the middle of its cell', () => {
    const image = { data: new Uint8Array(3 * 40 * 40).fill(128), width: 40, height: 40, channels: 3 } as const;
    const drawn = overlay(image, {
      columns: 4,
      rows: 4,
      weights: Float32Array.from({ length: 16 }, (_, i) => (i === 6 ? 1 : 0)),
    });
    const at = (x: number, y: number): number =>
      lightness([...drawn.data.subarray(3 * (y * 40 + x), 3 * (y * 40 + x) + 3)]);
    expect(at(25, 15)).toBeGreaterThan(at(20, 15));
    expect(at(20, 15)).toBeGreaterThan(at(5, 5));
    expect(at(25, 15)).toBeGreaterThan(at(25, 35));
  });
});
