/** Training over a base in any storage: an adapter's gradients are those over the same base in f32; what cannot be, says so. */
import { type Weights, parameterShapes } from '@mindseye/qwen-vl';
import {
  type QuantizedTensor,
  type Tensor,
  type Weight,
  add,
  cast,
  createReferenceDevice,
  dequantize,
  evaluate,
  flattenWithPaths,
  isQuantized,
  quantize,
  tensor,
  valueAndGrad,
} from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Method,
  type TrainableSetup,
  type Trainables,
  answerLoss,
  batchOperands,
  initializeTrainables,
  modelOf,
  sft,
} from '../src/index.js';
import { rootMeanSquare } from '../src/train/root-mean-square.js';
import { largestDifference } from './support/golden.js';
import {
  microConfig,
  microExample,
  microMethod,
  microSet,
  microSetup,
  microTensors,
  microWeights,
} from './support/micro.js';
import { runSteps, startTrainer } from './support/runs.js';

const storages: Readonly<Record<string, (weight: Tensor) => Weight>> = {
  f16: (weight) => cast(weight, 'f16'),
  bf16: (weight) => cast(weight, 'bf16'),
  int8: (weight) => quantize(weight, { bits: 8, groupSize: 32 }),
  int4: (weight) => quantize(weight, { bits: 4, groupSize: 32, symmetric: false, scaleDtype: 'bf16' }),
};

/** The matrices of the micro model in a storage, and the numbers that these hold as f32. */
function storedWeights(store: (weight: Tensor) => Weight): { readonly stored: Weights; readonly exact: Weights } {
  const stored = Object.fromEntries(
    Object.entries(microTensors()).map(([name, weight]) => [name, weight.rank === 2 ? store(weight) : weight]),
  );
  const widen = (weight: Weight): Tensor => (isQuantized(weight) ? dequantize(weight) : cast(weight, 'f32'));
  return { stored, exact: Object.fromEntries(Object.entries(stored).map(([name, weight]) => [name, widen(weight)])) };
}

/** Every B a little off 0, so that A has a gradient too. */
const moved = (trained: Trainables): Trainables => ({
  ...trained,
  lora: Object.fromEntries(Object.entries(trained.lora).map(([path, { a, b }]) => [path, { a, b: add(b, 0.05) }])),
});

const methods: Readonly<Record<string, Method>> = {
  livr: microMethod,
  sft: {
    ...sft,
    lora: microMethod.lora,
    stages: [{ name: 'causal', mask: 'causal', epochs: 3 }],
    learningRate: 1e-2,
    batchSize: 4,
  },
};

describe.each(Object.entries(storages))('a base in %s', (_storage, store) => {
  test.each(Object.entries(methods))(
    '%s: gradients of the adapter are those over the widened base',
    async (_name, method) => {
      const device = createReferenceDevice();
      const { stored, exact } = storedWeights(store);
      await evaluate([stored, exact], { device });
      const latentIds = microSetup(method).latentIds;
      const batch = batchOperands(
        microConfig,
        [0, 1, 2].map((i) => microExample(i, latentIds)),
        5,
      );
      const start = moved(await initializeTrainables(microSetup(method, stored), 3, device));
      const results = [stored, exact].map((weights) =>
        valueAndGrad((trained: Trainables) =>
          answerLoss(modelOf(microSetup(method, weights), trained), batch, method.stages[0]!.mask),
        )(start),
      );
      const [[loss, gradients], [exactLoss, exactGradients]] = results as [
        (typeof results)[0] & object,
        (typeof results)[0] & object,
      ];
      expect(Math.abs((await loss.item(device)) - (await exactLoss.item(device)))).toBeLessThan(1e-5);
      const expected = new Map(flattenWithPaths(exactGradients));
      expect(expected.size).toBeGreaterThan(14);
      for (const [path, gradient] of flattenWithPaths(gradients)) {
        const reference = (await expected.get(path)!.data(device)) as Float32Array;
        const scale = reference.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
        expect(scale, path).toBeGreaterThan(0);
        expect(largestDifference(await gradient.data(device), reference) / scale, path).toBeLessThan(1e-4);
      }
    },
  );

  test.each(Object.entries(methods))('%s trains on the wasm device', async (_name, { stages, lora, ...rest }) => {
    const device = createWasmDevice();
    const method = { ...rest, lora: { ...lora, dropout: 0 }, stages: [{ ...stages[0]!, epochs: 8 }] };
    const { stored } = storedWeights(store);
    const setup = microSetup(method, await evaluate(stored, { device }));
    const data = microSet(4, setup.latentIds);
    const trainer = await startTrainer({ method, setup, data, device, seed: 1, order: 'sequential' });
    const events = await runSteps(trainer);
    expect(events.at(-1)!.loss).toBeLessThan(events[0]!.loss);
  });
});

describe('full training', () => {
  const setup = (weights: Weights): TrainableSetup => ({ ...microSetup(methods['sft']!, weights), trains: 'full' });

  test.each(['f16', 'bf16'])('of a base in %s trains f32 copies and leaves the base', async (storage) => {
    const device = createWasmDevice();
    const { stored, exact } = storedWeights(storages[storage]!);
    await evaluate([stored, exact], { device });
    const { weights } = await initializeTrainables(setup(stored), 1, device);
    for (const [name, weight] of Object.entries(weights)) {
      expect(weight.dtype).toBe('f32');
      expect(await weight.data(device), name).toEqual(await (exact[name] as Tensor).data(device));
    }
    const name = 'model.language_model.layers.0.mlp.up_proj.weight';
    const before = await (stored[name] as Tensor).data(device);
    const method: Method = { ...methods['sft']!, trains: 'full' };
    const options = { method, setup: setup(stored), data: microSet(4, []), device, seed: 1 };
    const events = await runSteps(await startTrainer(options));
    expect(events.at(-1)!.loss).toBeLessThan(events[0]!.loss);
    expect(await (stored[name] as Tensor).data(device)).toEqual(before);
  });

  test('of a quantised base is refused', async () => {
    const { stored } = storedWeights(storages['int4']!);
    await expect(initializeTrainables(setup(stored), 1, createReferenceDevice())).rejects.toThrow(
      /\S+ is quantised and has no master; train an adapter beside it/,
    );
  });
});

test('the deviation of a table is that of its numbers, in any storage and on the host', async () => {
  const device = createWasmDevice();
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(undefined, ...Object.keys(storages)),
      fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 1, maxLength: 1600 }),
      async (rows, columns, storage, numbers) => {
        const values = Float32Array.from({ length: rows * columns }, (_, i) => numbers[i % numbers.length]!);
        const dense = tensor(values, [rows, columns]);
        const weight = storage === undefined ? dense : await evaluate(storages[storage]!(dense), { device });
        const held = isQuantized(weight) ? dequantize(weight as QuantizedTensor) : cast(weight, 'f32');
        const all = (await held.data(device)) as Float32Array;
        const expected = Math.sqrt(all.reduce((sum, value) => sum + value * value, 0) / all.length);
        expect(await rootMeanSquare(weight, device)).toBeCloseTo(expected, 4);
        if (storage === undefined)
          expect(await rootMeanSquare(tensor(values.slice(), [rows, columns]))).toBeCloseTo(expected, 6);
      },
    ),
    { numRuns: 30 },
  );
});

test('a large table is read in pieces', async () => {
  const device = createWasmDevice();
  const weight = tensor(new Float32Array(2 ** 23 + 2 ** 13).fill(0.5), [2 ** 10 + 1, 2 ** 13]);
  expect(await rootMeanSquare(weight, device)).toBeCloseTo(0.5, 6);
  // The table, and less than half of it beside it.
  expect(device.memory().peakBytes).toBeLessThan(1.6 * weight.byteLength);
});

test('latent rows follow the table, in any storage', async () => {
  const device = createReferenceDevice();
  expect(parameterShapes(microConfig).get('model.language_model.embed_tokens.weight')).toEqual([64, 16]);
  const rows: Float32Array[] = [];
  for (const store of Object.values(storages)) {
    const { stored } = storedWeights(store);
    const start = await initializeTrainables(microSetup(microMethod, await evaluate(stored, { device })), 3, device);
    rows.push((await start.rows!.data(device)) as Float32Array);
  }
  const start = await initializeTrainables(microSetup(microMethod, microWeights()), 3);
  const plain = (await start.rows!.data()) as Float32Array;
  for (const each of rows) expect(largestDifference(each, plain)).toBeLessThan(0.02);
});
