import { expect, test } from 'vitest';
import { heatColor, heatPixels, rangeOf } from '../src/components/heat-scale.js';

const lightness = ([red, green, blue]: readonly number[]): number => 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;

test('the scale rises in lightness from end to end', () => {
  const levels = Array.from({ length: 101 }, (_, i) => lightness(heatColor(i / 100)));
  expect(levels).toEqual(levels.toSorted((a, b) => a - b));
  expect([heatColor(-1), heatColor(2)]).toEqual([heatColor(0), heatColor(1)]);
});

test('a map has the ends of the scale at its least and greatest weight', () => {
  const map = { columns: 2, rows: 2, weights: Float32Array.of(0.125, 0.5, 0.25, 0.125) };
  expect(rangeOf(map)).toEqual({ least: 0.125, most: 0.5 });
  const pixels = heatPixels(map);
  const pixel = (at: number) => [...pixels.subarray(4 * at, 4 * at + 4)];
  expect(pixel(0).slice(0, 3)).toEqual(heatColor(0));
  expect(pixel(1).slice(0, 3)).toEqual(heatColor(1));
  expect(pixel(3)).toEqual(pixel(0));
  expect(pixel(1)[3]).toBeGreaterThan(pixel(2)[3]!);
  expect(pixel(2)[3]).toBeGreaterThan(pixel(0)[3]!);
});

test('an even map has one colour', () => {
  const pixels = heatPixels({ columns: 3, rows: 1, weights: new Float32Array(3).fill(1 / 3) });
  expect(new Set(pixels.subarray(0, 4))).toEqual(new Set(pixels.subarray(8, 12)));
  expect([...pixels.subarray(0, 3)]).toEqual(heatColor(0));
});
