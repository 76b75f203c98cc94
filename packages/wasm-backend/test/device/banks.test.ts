/** Roots beyond the main memory: the same results, bit for bit, as when everything lies in one memory. */
import * as t from '@mindseye/tensor-core';
import { arbitraryGraph, buildGraph, graphLoss, seededValue, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BANK_BYTES } from '../../src/device/banks.js';
import { deviceOn } from '../../src/device/device.js';
import { WasmMemoryError } from '../../src/index.js';
import { createKernels } from '../../src/kernels/index.js';
import { bytesOf, rangeOf } from './support.js';
import { train } from './training.js';

/** A device whose roots all lie in banks. */
const banked = (maximumBytes = 4 * BANK_BYTES): t.Device & { readonly threads: number } =>
  deviceOn(createKernels(), { maximumBytes, mainRootBytes: 0, largeRootBytes: 0 });

test('uploads come back as they were', async () => {
  const device = banked();
  const spec = { shape: [5], dtype: 'f32' } as const;
  const buffer = device.upload(new Float32Array([1, -0, NaN, Infinity, 5e-45]), spec);
  expect(rangeOf(buffer).pointer).toBeGreaterThanOrEqual(BANK_BYTES);
  expect([...(await device.read(buffer, spec))]).toEqual([1, -0, NaN, Infinity, Math.fround(5e-45)]);
  device.release(buffer);
  expect(device.memory().rootBytes).toBe(0);
});

test('random graphs and their gradients', async () => {
  const property = fc.asyncProperty(arbitraryGraph(), async (recipe) => {
    const results = [];
    for (const device of [deviceOn(createKernels(), { maximumBytes: 0 }), banked()]) {
      const inputs = recipe.inputs.map(toTensor);
      const loss = (given: readonly t.Tensor[]): t.Tensor => graphLoss(buildGraph(recipe, given));
      const f = t.compile(
        (...given: t.Tensor[]) => {
          const [value, gradients] = t.valueAndGrad(loss)(given);
          return [value, ...gradients, ...buildGraph(recipe, given)];
        },
        { device },
      );
      const outputs = await f(...inputs);
      results.push(await Promise.all(outputs.map(async (output) => bytesOf({ data: await output.data() }))));
    }
    expect(results[1]).toEqual(results[0]);
  });
  await fc.assert(property, { numRuns: 40 });
});

describe('linear layers, whose weights are read from banks run by run', () => {
  const forms: Readonly<Record<string, (weight: t.Tensor) => t.Tensor | t.QuantizedTensor>> = {
    f32: (weight) => weight,
    f16: (weight) => t.cast(weight, 'f16'),
    bf16: (weight) => t.cast(weight, 'bf16'),
    int8: (weight) => t.quantize(weight, { bits: 8, groupSize: 64 }),
    'int4 with offsets': (weight) => t.quantize(weight, { bits: 4, groupSize: 32, symmetric: false }),
  };
  const values = (shape: readonly number[], seed: number): t.Tensor =>
    toTensor(seededValue(shape, 'f32', 'ordinary', seed));

  test.each(Object.keys(forms))('%s', async (name) => {
    for (const m of [1, 3, 40]) {
      const results = [];
      for (const device of [deviceOn(createKernels(), { maximumBytes: 0 }), banked()]) {
        // More rows than a run has of the wider storages.
        const weight = forms[name]!(values([2500, 320], 1));
        await t.evaluate(weight, { device });
        const [x, bias] = [values([m, 320], 2), values([2500], 3)];
        const f = t.compile((...given: [t.Tensor, typeof weight, t.Tensor]) => t.linear(...given), { device });
        for (let run = 0; run < 3; run++) results.push(bytesOf({ data: await (await f(x, weight, bias)).data() }));
      }
      for (const result of results) expect(result).toEqual(results[0]);
    }
  });
});

test('training with donated state ends in the state that it ends in in one memory', async () => {
  const ends = [];
  for (const device of [deviceOn(createKernels(), { maximumBytes: 0 }), banked()]) {
    const state = await train(device, 20);
    ends.push(await Promise.all(t.flatten(state).map(async (tensor) => bytesOf({ data: await tensor.data() }))));
  }
  expect(ends[1]).toEqual(ends[0]);
});

test('beyond the ceiling an error names it', () => {
  const device = deviceOn(createKernels({ memory: new WebAssembly.Memory({ initial: 1, maximum: 4 }) }), {
    maximumBytes: 0,
  });
  expect(() => device.upload(new Float32Array(100_000), { shape: [100_000], dtype: 'f32' })).toThrow(WasmMemoryError);
});
