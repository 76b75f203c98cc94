/** Products whose weight stays: from the second run on its panels are kept, and no bit of a result changes. */
import * as t from '@mindseye/tensor-core';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { TIERS } from '../kernels/support.js';

const wave = (shape: readonly number[], phase: number): t.Tensor => {
  const size = shape.reduce((product, each) => product * each, 1);
  return t.tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(phase + 1.7 * i)),
    shape,
  );
};

const [m, n, k] = [37, 45, 70];

type Product = (x: t.Tensor, weight: t.Tensor) => t.Tensor;

/** Products with a weight of a shape. */
const PRODUCTS: Readonly<Record<string, readonly [shape: readonly number[], Product]>> = {
  'x·Wᵀ + b': [[n, k], (x, weight) => t.linear(x, weight, wave([n], 3))],
  'x·W of a linear layer': [[k, n], (x, weight) => t.linearTransposed(x, weight)],
  matmul: [[k, n], (x, weight) => t.matmul(x, weight)],
  'matmul with a transpose': [[n, k], (x, weight) => t.matmul(x, weight, { transposeB: true })],
};

describe.each(TIERS)('%s', (tier) => {
  test.each(Object.entries(PRODUCTS))('%s', async (_, [shape, product]) => {
    const [keeping, other] = [createWasmDevice({ tier, poison: true }), createWasmDevice({ tier })];
    const weight = await t.evaluate(wave(shape, 5), { device: keeping });
    const run = t.compile(product, { device: keeping });
    const arenaBytes: number[] = [];
    for (const phase of [0, 1, 2, 3]) {
      const result = await run(wave([m, k], phase), weight);
      // A weight that comes anew for every run has no kept form.
      const expected = await t.compile(product, { device: other })(wave([m, k], phase), wave(shape, 5));
      expect(await result.data()).toEqual(await expected.data());
      arenaBytes.push(keeping.memory!().arenaBytes);
    }
    expect(arenaBytes[1]! - arenaBytes[0]!).toBeGreaterThanOrEqual(4 * n * k);
    expect(arenaBytes[3]).toBe(arenaBytes[1]);
  });
});
