/** LoRA against its definition: initial no-op, merged weights, targets, dropout. */
import { type ModelContext, languageLinearNames, parameterShapes, presets } from '@mindseye/qwen-vl';
import { type Tensor, add, evaluate, matmul, mul, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { describe, expect, test } from 'vitest';
import {
  type LoraConfig,
  type LoraParameters,
  batchHidden,
  batchOperands,
  initializeLora,
  livrLora,
  loraHook,
  loraTargets,
} from '../src/index.js';
import { largestDifference } from './support/golden.js';
import { microConfig, microExample, microTensors, microWeights } from './support/micro.js';

const device = createWasmDevice();
const shapes = parameterShapes(microConfig);
const config: LoraConfig = { ...livrLora, rank: 3, alpha: 12, dropout: 0.5 };
const seed = (value: number): ReturnType<typeof tensor> => tensor(Uint32Array.of(value, 9));
const batch = batchOperands(microConfig, [microExample(0), microExample(1)], 1);

const hiddenOf = async (context: ModelContext): Promise<Float32Array> =>
  (await batchHidden(context, batch, 'bottleneck').data(device)) as Float32Array;
const adaptedBy = (lora: LoraParameters, dropoutSeed?: ReturnType<typeof tensor>): ModelContext => ({
  config: microConfig,
  weights: microWeights(),
  linearHook: loraHook(lora, config, dropoutSeed),
});

/** Adapters whose B is not 0. */
function trainedLora(): LoraParameters {
  const lora = initializeLora(shapes, config, 1);
  return Object.fromEntries(
    Object.entries(lora).map(([path, { a, b }], i) => [path, { a, b: add(b, 0.05 * (1 + (i % 3))) }]),
  );
}

describe('targets', () => {
  test('are the seven linear layers of each language layer, and nothing of the vision tower', () => {
    const targets = loraTargets(shapes, livrLora);
    expect(targets.size).toBe(languageLinearNames.length * microConfig.textConfig.numHiddenLayers);
    // The tower has an MLP with the same names.
    expect([...shapes.keys()]).toContain('model.visual.blocks.0.mlp.gate_proj.weight');
    expect([...targets.keys()].every((path) => path.startsWith('model.language_model.layers.'))).toBe(true);
    for (const [path, [outputs, inputs]] of targets) expect(shapes.get(`${path}.weight`)).toEqual([outputs, inputs]);
  });

  test('can be fewer', () => {
    const targets = [...loraTargets(shapes, { ...livrLora, targetModules: ['q_proj', 'v_proj'] }).keys()];
    expect(targets.length).toBe(2 * microConfig.textConfig.numHiddenLayers);
    expect(targets.every((path) => /\.self_attn\.[qv]_proj$/.test(path))).toBe(true);
  });

  test('of Qwen2.5-VL-3B have the size that PEFT reports', () => {
    const parameters = [...loraTargets(parameterShapes(presets['qwen2.5-vl-3b']()), livrLora).values()].reduce(
      (sum, [outputs, inputs]) => sum + livrLora.rank * (outputs + inputs),
      0,
    );
    expect((parameters / 1e6).toFixed(2)).toBe('29.93');
  });
});

describe('initial adapters', () => {
  test('A is uniform within ±1/√in and follows the seed, B is 0', async () => {
    const [one, again, another] = [
      initializeLora(shapes, config, 1),
      initializeLora(shapes, config, 1),
      initializeLora(shapes, config, 2),
    ];
    for (const [path, [outputs, inputs]] of loraTargets(shapes, config)) {
      const a = await one[path]!.a.data(device);
      expect(one[path]!.a.shape).toEqual([config.rank, inputs]);
      expect(one[path]!.b.shape).toEqual([outputs, config.rank]);
      expect(a.every((value: number) => Math.abs(value) <= 1 / Math.sqrt(inputs))).toBe(true);
      expect(Math.max(...a)).toBeGreaterThan(0.5 / Math.sqrt(inputs));
      expect(Math.min(...a)).toBeLessThan(-0.5 / Math.sqrt(inputs));
      expect((await one[path]!.b.data(device)).every((value: number) => value === 0)).toBe(true);
      expect(await again[path]!.a.data(device)).toEqual(a);
      expect(await another[path]!.a.data(device)).not.toEqual(a);
    }
  });

  test('leave the model as it is, with and without dropout', async () => {
    const base = await hiddenOf({ config: microConfig, weights: microWeights() });
    const lora = initializeLora(shapes, config, 1);
    expect(await hiddenOf(adaptedBy(lora))).toEqual(base);
    expect(await hiddenOf(adaptedBy(lora, seed(4)))).toEqual(base);
  });
});

describe('trained adapters', () => {
  test('are the model with W + (α/r)·B·A in place of W', async () => {
    const lora = trainedLora();
    const merged: Record<string, Tensor> = { ...microTensors() };
    for (const [path, { a, b }] of Object.entries(lora))
      merged[`${path}.weight`] = add(merged[`${path}.weight`]!, mul(matmul(b, a), config.alpha / config.rank));
    await evaluate(merged, { device });
    const base = await hiddenOf({ config: microConfig, weights: microWeights() });
    const adapted = await hiddenOf(adaptedBy(lora));
    expect(largestDifference(adapted, base)).toBeGreaterThan(0.1);
    expect(largestDifference(adapted, await hiddenOf({ config: microConfig, weights: merged }))).toBeLessThan(1e-4);
  });

  test('drop inputs with a seed only, the same ones for the same seed', async () => {
    const lora = trainedLora();
    const plain = await hiddenOf(adaptedBy(lora));
    expect(await hiddenOf(adaptedBy(lora))).toEqual(plain);
    const dropped = await hiddenOf(adaptedBy(lora, seed(1)));
    expect(dropped).not.toEqual(plain);
    expect(await hiddenOf(adaptedBy(lora, seed(1)))).toEqual(dropped);
    expect(await hiddenOf(adaptedBy(lora, seed(2)))).not.toEqual(dropped);
  });

  test('drop other inputs in each layer', async () => {
    const pair = trainedLora()['model.language_model.layers.0.self_attn.q_proj']!;
    const lora = { one: pair, two: pair, three: pair };
    const x = tensor(new Float32Array(16).fill(1), [1, 16]);
    const outputs = async (dropoutSeed?: ReturnType<typeof tensor>): Promise<Set<number>> => {
      const hook = loraHook(lora, config, dropoutSeed);
      const values = await Promise.all(
        Object.keys(lora).map((path) => hook(path, x, (input) => mul(input, 0)).data(device)),
      );
      return new Set(values.map(([first]) => first!));
    };
    expect((await outputs()).size).toBe(1);
    expect((await outputs(seed(1))).size).toBe(3);
  });

  test('leave layers without an adapter alone', async () => {
    const hook = loraHook({}, config);
    const x = tensor([1, 2]);
    expect(hook('model.visual.blocks.0.mlp.gate_proj', x, (input) => input)).toBe(x);
  });
});
