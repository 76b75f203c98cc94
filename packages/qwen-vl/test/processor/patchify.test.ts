import fc from 'fast-check';
import { expect, test } from 'vitest';
import { publishedPreprocessorConfig } from '../../src/config/presets.js';
import { normalizationTable, patchify, rescaleAndNormalize } from '../../src/processor/patchify.js';

const arange = (length: number): Float32Array => Float32Array.from({ length }, (_value, index) => index);

test('first row and row order of a small image', () => {
  const sizes = { patchSize: 2, temporalPatchSize: 2, mergeSize: 2 };
  const { pixelValues, gridThw, patchDimension } = patchify(arange(64), { channels: 1, height: 8, width: 8 }, sizes);
  expect(gridThw).toEqual([1, 4, 4]);
  expect(patchDimension).toBe(8);
  expect([...pixelValues.subarray(0, 8)]).toEqual([0, 1, 8, 9, 0, 1, 8, 9]);
  const origins = Array.from({ length: 8 }, (_value, patch) => {
    const first = pixelValues[patch * 8]!;
    return [Math.floor(first / 8), first % 8];
  });
  expect(origins).toEqual([
    [0, 0],
    [0, 2],
    [2, 0],
    [2, 2],
    [0, 4],
    [0, 6],
    [2, 4],
    [2, 6],
  ]);
});

test('equals the definition by nine-dimensional indexing', () => {
  const small = fc.integer({ min: 1, max: 3 });
  fc.assert(
    fc.property(small, small, small, small, small, small, (channels, blockRows, blockColumns, merge, patch, time) => {
      const height = blockRows * merge * patch;
      const width = blockColumns * merge * patch;
      const values = arange(channels * height * width);
      const sizes = { patchSize: patch, temporalPatchSize: time, mergeSize: merge };
      const { pixelValues } = patchify(values, { channels, height, width }, sizes);
      const expected: number[] = [];
      for (let br = 0; br < blockRows; br++)
        for (let bc = 0; bc < blockColumns; bc++)
          for (let r = 0; r < merge; r++)
            for (let c = 0; c < merge; c++)
              for (let channel = 0; channel < channels; channel++)
                for (let t = 0; t < time; t++)
                  for (let y = 0; y < patch; y++)
                    for (let x = 0; x < patch; x++) {
                      const row = (br * merge + r) * patch + y;
                      expected.push(values[(channel * height + row) * width + (bc * merge + c) * patch + x]!);
                    }
      expect([...pixelValues]).toEqual(expected);
    }),
    { numRuns: 50 },
  );
});

test('normalisation follows the float32 steps of the reference for every 8-bit value', () => {
  const config = publishedPreprocessorConfig();
  const table = normalizationTable(config);
  const f = Math.fround;
  for (const channel of [0, 1, 2]) {
    const mean = f(config.imageMean[channel]!);
    const std = f(config.imageStd[channel]!);
    for (let value = 0; value < 256; value++) {
      expect(table[channel * 256 + value]).toBe(f(f(f(value / 255) - mean) / std));
    }
  }
});

test('channels come first after normalisation', () => {
  const image = { data: Uint8Array.of(1, 2, 3, 4, 5, 6), width: 2, height: 1, channels: 3 } as const;
  const plain = { imageMean: [0, 0, 0], imageStd: [1, 1, 1], rescaleFactor: 1 };
  expect([...rescaleAndNormalize(image, plain)]).toEqual([1, 4, 2, 5, 3, 6]);
});

test('sizes that do not divide are refused', () => {
  const sizes = { patchSize: 14, temporalPatchSize: 2, mergeSize: 2 };
  expect(() => patchify(new Float32Array(0), { channels: 3, height: 28, width: 30 }, sizes)).toThrow(/multiples of 28/);
  expect(() => patchify(new Float32Array(5), { channels: 3, height: 28, width: 28 }, sizes)).toThrow(
    /needs 2352 values, got 5/,
  );
});
