/** Linear layers with weights in every storage, few rows and many, against the reference loops. */
import { type DType, opTable } from '@mindseye/tensor-core';
import { type HostTensor, arbitrarySeed, compareWithReference, seededValue } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { TIERS } from '../kernels/support.js';

/** Rows around the largest numbers that have products of their own, in one pass and in two. */
const rowCounts = fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 9, 15, 16, 17);
const widths = fc.oneof(fc.constantFrom(32, 64, 96, 160, 256), fc.integer({ min: 1, max: 140 }));
const tolerance = { absolute: 1e-6, relative: 1e-4, norm: 1e-5 };

const factor = fc.constantFrom<DType>('f32', 'f16', 'bf16');
const value = (shape: readonly number[], dtype: DType, seed: number): HostTensor =>
  seededValue(shape, dtype, dtype === 'u32' ? 'words' : 'ordinary', seed);

describe.each(TIERS)('%s', (tier) => {
  const device = createWasmDevice({ tier, poison: true });

  test('dense weights: x·Wᵀ + b and x·W', async () => {
    const property = fc.asyncProperty(
      fc.record({ m: rowCounts, n: widths, k: widths, dtype: factor, biased: fc.boolean() }),
      arbitrarySeed(),
      async ({ m, n, k, dtype, biased }, seed) => {
        const weight = value([n, k], dtype, seed);
        const bias = biased ? [value([n], 'f32', seed + 1)] : [];
        const given = [value([m, k], 'f32', seed + 2), weight, ...bias];
        await compareWithReference(device, 'linear', { inputs: given, attributes: {} }, tolerance);
        const back = [value([m, n], 'f32', seed + 3), weight];
        await compareWithReference(device, 'linearTransposed', { inputs: back, attributes: {} }, tolerance);
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  test('codes with scales, and offsets', async () => {
    const property = fc.asyncProperty(
      fc.record({
        m: rowCounts,
        rows: widths,
        columns: widths,
        bits: fc.constantFrom(4, 8),
        groupSize: fc.constantFrom(32, 64, 128),
        scaleType: factor,
        symmetric: fc.boolean(),
        transposed: fc.boolean(),
      }),
      arbitrarySeed(),
      async ({ m, rows, columns, bits, groupSize, scaleType, symmetric, transposed }, seed) => {
        const format = { bits, groupSize, columns, symmetric };
        const grid = [rows, Math.ceil(columns / groupSize)];
        const inputs = [
          value([m, transposed ? rows : columns], 'f32', seed),
          value([rows, Math.ceil((columns * bits) / 32)], 'u32', seed + 1),
          value(grid, scaleType, seed + 2),
          ...(symmetric ? [] : [value(grid, scaleType, seed + 3)]),
          ...(transposed ? [] : [value([rows], 'f32', seed + 4)]),
        ];
        await compareWithReference(
          device,
          'quantizedLinear',
          { inputs, attributes: { format, transposed } },
          tolerance,
        );
      },
    );
    await fc.assert(property, { numRuns: 120 });
  });

  test('infinities and NaN in a row of x reach its products with codes, and leave other rows alone', async () => {
    const property = fc.asyncProperty(
      fc.record({
        m: fc.integer({ min: 1, max: 6 }),
        columns: fc.constantFrom(32, 64, 160),
        bits: fc.constantFrom(4, 8),
        symmetric: fc.boolean(),
        wrong: fc.array(fc.tuple(fc.nat(), fc.constantFrom(Infinity, -Infinity, Number.NaN)), { maxLength: 3 }),
        wrongScale: fc.constantFrom(1, Number.NaN),
      }),
      arbitrarySeed(),
      async ({ m, columns, bits, symmetric, wrong, wrongScale }, seed) => {
        const format = { bits, groupSize: 32, columns, symmetric };
        const x = value([m, columns], 'f32', seed);
        for (const [at, number] of wrong) x.data[at % x.data.length] = number;
        const scales = value([9, columns / 32], 'f32', seed + 1);
        scales.data[0]! *= wrongScale;
        const offsets = symmetric ? [] : [value([9, columns / 32], 'f32', seed + 2)];
        const inputs = [x, value([9, (columns * bits) / 32], 'u32', seed + 3), scales, ...offsets];
        await compareWithReference(
          device,
          'quantizedLinear',
          { inputs, attributes: { format, transposed: false } },
          tolerance,
        );
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  test('a weight larger than one chunk', async () => {
    const format = { bits: 4, groupSize: 32, columns: 1500, symmetric: true };
    for (const m of [3, 6, 11]) {
      const codes = value([700, 188], 'u32', 1);
      const inputs = [value([m, 1500], 'f32', 2), codes, value([700, 47], 'f16', 3)];
      await compareWithReference(
        device,
        'quantizedLinear',
        { inputs, attributes: { format, transposed: false } },
        tolerance,
      );
      const back = [value([m, 700], 'f32', 4), value([700, 1500], 'bf16', 5)];
      await compareWithReference(device, 'linearTransposed', { inputs: back, attributes: {} }, tolerance);
    }
  });
});

test('weights are not made dense: no step of a product with codes is a decoded matrix', () => {
  const device = createWasmDevice();
  const format = { bits: 4, groupSize: 32, columns: 64, symmetric: true };
  const specs = [
    { shape: [1, 64], dtype: 'f32' },
    { shape: [100, 8], dtype: 'u32' },
    { shape: [100, 2], dtype: 'f16' },
  ] as const;
  expect(device.supports(opTable.get('quantizedLinear')!, specs, { format, transposed: false })).toBe(true);
});
