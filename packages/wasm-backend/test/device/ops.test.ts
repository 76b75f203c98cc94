/** Every op of the table on each tier, by kernel, by its own loops or decomposed, against the reference loops. */
import { opTable } from '@mindseye/tensor-core';
import { checkDeviceAgainstReference } from '@mindseye/tensor-core/testing';
import { describe, expect, test } from 'vitest';
import { createWasmDevice, kernelNames } from '../../src/index.js';
import { SEED, TIERS } from '../kernels/support.js';

/**
 * Where values of 10^3 meet, the gradient of attention is what is left of differences far larger than itself, in f32 nothing
 * exact; attention.test.ts has its masks and shapes.
 */
const onlyOrdinary = new Set(['attentionBackward']);

/** Moments of 10^2 may cancel to nearly nothing, which leaves their rounding. */
const tolerances = { adamwStep: { absolute: 1e-6, relative: 1e-4, norm: 1e-6 } };

/** Axes up to 40 cross tiles, vectors and unrolled rounds of the kernels. */
const lengths = [6, 40];

describe.each(TIERS)('%s', (tier) => {
  const device = createWasmDevice({ tier });

  test.each([...opTable.keys()])('%s', async (name) => {
    const values = onlyOrdinary.has(name) ? (['ordinary'] as const) : (['ordinary', 'extreme'] as const);
    for (const maxLength of lengths) {
      const { compared } = await checkDeviceAgainstReference(device, {
        ops: [name],
        numRuns: 25,
        seed: SEED,
        maxLength,
        values,
        tolerances,
        decomposed: true,
      });
      expect(compared[name]).toBe(25 * values.length);
    }
  });
});

/** Fused ops that are planned as what they are made of: fused expressions and products. */
const decomposed = [
  'geluTanh',
  'geluTanhBackward',
  'linearCrossEntropy',
  'linearCrossEntropyBackward',
  'massThreshold',
];

test('the fused ops without a kernel are the ones that need none', async () => {
  const device = createWasmDevice();
  const { refused } = await checkDeviceAgainstReference(device, { numRuns: 10, seed: SEED, values: ['ordinary'] });
  expect(Object.keys(refused).toSorted()).toEqual(decomposed);
});

test('every kernel is of an op', () => {
  expect(kernelNames.filter((name) => !opTable.has(name))).toEqual([]);
});
