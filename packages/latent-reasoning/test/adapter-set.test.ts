/** Several adapters over one base: answers follow the switch, weights add up, nothing is copied and nothing compiled again. */
import { InvalidInputError, type ModelContext, type Weights, parameterShapes } from '@mindseye/qwen-vl';
import {
  type Device,
  type Weight,
  cast,
  compile,
  evaluate,
  fillNormal,
  isQuantized,
  quantize,
  seedFromString,
  tensor,
} from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AdapterSelection,
  type BatchOperands,
  type LoraConfig,
  type LoraPair,
  type PeftAdapter,
  adapterSet,
  batchHidden,
  batchOperands,
  initializeLora,
  languageTargets,
  mergeAdapter,
  withAdapter,
} from '../src/index.js';
import { largestDifference } from './support/golden.js';
import { microConfig, microExample, microWeights } from './support/micro.js';

const shapes = parameterShapes(microConfig);
const batch = (): BatchOperands => batchOperands(microConfig, [microExample(0), microExample(1)], 1);

/** An adapter whose B is not 0. */
function randomAdapter(seed: number, config: Partial<LoraConfig> = {}): PeftAdapter {
  const complete = { rank: 2, alpha: 4, dropout: 0, targetModules: languageTargets, ...config };
  const lora: Record<string, LoraPair> = {};
  for (const [path, { a, b }] of Object.entries(initializeLora(shapes, complete, seed))) {
    const values = fillNormal(new Float32Array(b.size), seedFromString(`${seed}/${path}`));
    lora[path] = {
      a,
      b: tensor(
        values.map((value) => 0.2 * value),
        b.shape,
      ),
    };
  }
  return { config: complete, lora };
}

const rowsAdapter = (seed: number, ids: readonly number[]): PeftAdapter => ({
  ...randomAdapter(seed),
  tokenRows: {
    ids,
    rows: tensor(fillNormal(new Float32Array(ids.length * 16), seedFromString(`rows/${seed}`)), [ids.length, 16]),
  },
});

/** A device that counts the plans it is given to lower and the bytes it is given to hold. */
function counting(device: Device): { readonly device: Device; readonly counts: { lowered: number; uploaded: number } } {
  const counts = { lowered: 0, uploaded: 0 };
  return {
    device: {
      name: device.name,
      ...(device.limits && { limits: device.limits }),
      ...(device.passes && { passes: device.passes }),
      ...(device.canOverwrite && { canOverwrite: (op) => device.canOverwrite!(op) }),
      supports: (op, inputs, attributes) => device.supports(op, inputs, attributes),
      upload: (data, spec) => {
        counts.uploaded += data.byteLength;
        return device.upload(data, spec);
      },
      read: (buffer, spec) => device.read(buffer, spec),
      release: (buffer) => device.release(buffer),
      memory: () => device.memory(),
      lower: (plan) => {
        counts.lowered++;
        return device.lower(plan);
      },
    },
    counts,
  };
}

/** The model as an application holds it: its own compiled function for each context. */
async function hiddenOf(context: ModelContext, device: Device, operands = batch()): Promise<Float32Array> {
  const run = compile((given: BatchOperands) => batchHidden(context, given, 'causal'), { device });
  return (await (await run(operands)).data(device)) as Float32Array;
}

test('switching compiles nothing anew and uploads nothing but adapters', async () => {
  const { device, counts } = counting(createWasmDevice());
  const set = adapterSet({ config: microConfig, weights: microWeights() });
  set.load('one', randomAdapter(1));
  set.load('two', randomAdapter(2, { alpha: 7, rankStabilized: true }));
  set.load('three', randomAdapter(3));
  const operands = batch();
  const run = (selection: AdapterSelection): Promise<Float32Array> =>
    hiddenOf(set.activate(selection), device, operands);
  const [plain, one] = [await run(null), await run('one')];
  await run([{ name: 'one', weight: 0.5 }, { name: 'two' }]);
  const { lowered, uploaded } = counts;
  expect(lowered).toBe(3);

  const [two, three] = [await run('two'), await run('three')];
  await run([
    { name: 'three', weight: 0.25 },
    { name: 'one', weight: 2 },
  ]);
  expect(await run(null)).toEqual(plain);
  expect(await run('one')).toEqual(one);
  expect(counts.lowered).toBe(lowered);
  const adapterBytes = Object.values(randomAdapter(3).lora).reduce((sum, { a, b }) => sum + 4 * (a.size + b.size), 0);
  // The third adapter, which had not been used before, and the factor of each activation.
  expect(counts.uploaded - uploaded).toBe(adapterBytes + 5 * 4);
  for (const [active, other] of [
    [one, plain],
    [two, one],
    [three, two],
  ] as const)
    expect(largestDifference(active, other)).toBeGreaterThan(0.01);
});

describe('what is active', () => {
  const device = createWasmDevice();
  const base = { config: microConfig, weights: microWeights() };
  const adapters = {
    a: randomAdapter(1),
    b: randomAdapter(2, { rank: 3, alpha: 5, targetModules: ['up_proj', 'qkv'] }),
  };

  test('is the model with the weighted sum of the deltas in its weights', async () => {
    const weight = fc.double({ min: -2, max: 2, noNaN: true });
    await fc.assert(
      fc.asyncProperty(weight, weight, async (first, second) => {
        const set = adapterSet(base);
        set.load('a', adapters.a);
        set.load('b', adapters.b);
        const active = set.activate([
          { name: 'a', weight: first },
          { name: 'b', weight: second },
        ]);
        const scaled = (adapter: PeftAdapter, by: number): PeftAdapter => ({
          ...adapter,
          config: { ...adapter.config, alpha: adapter.config.alpha * by },
        });
        const merged = await mergeAdapter(
          await mergeAdapter(base, scaled(adapters.a, first), device),
          scaled(adapters.b, second),
          device,
        );
        expect(largestDifference(await hiddenOf(active, device), await hiddenOf(merged, device))).toBeLessThan(1e-4);
      }),
      { numRuns: 5 },
    );
  });

  test.each([[[60, 61]], [[63, 5, 60]], [[7]], [[61, 60]]])('with the rows of tokens %j', async (ids) => {
    const adapter = rowsAdapter(1, ids);
    const used = { ...adapter, lora: {} };
    const active = await hiddenOf(withAdapter(base, used), device);
    expect(largestDifference(active, await hiddenOf(await mergeAdapter(base, used, device), device))).toBeLessThan(
      1e-5,
    );
  });

  test.each<[AdapterSelection, RegExp]>([
    ['absent', /there is no adapter "absent": loaded are plain, rows, more/],
    [[{ name: 'rows', weight: 0.5 }], /replaces token rows, which cannot be done by 0\.5: use the weight 1/],
    [[{ name: 'rows' }, { name: 'more' }], /two active adapters replace token rows/],
  ])('cannot be %j', (selection, message) => {
    const set = adapterSet(base);
    set.load('plain', adapters.a);
    set.load('rows', rowsAdapter(1, [60]));
    set.load('more', rowsAdapter(2, [61]));
    expect(set.names).toEqual(['plain', 'rows', 'more']);
    expect(() => set.activate(selection)).toThrow(InvalidInputError);
    expect(() => set.activate(selection)).toThrow(message);
  });

  test('is not what was unloaded, and what does not fit is not loaded', () => {
    const set = adapterSet(base);
    expect(set.load('a', adapters.a)).toMatchObject({ matched: 28, unmatched: [] });
    set.unload('a');
    expect(() => set.activate('a')).toThrow(/there is no adapter "a": none is loaded/);
    const strange = {
      ...adapters.a,
      lora: { 'model.language_model.layers.9.mlp.up_proj': Object.values(adapters.a.lora)[0]! },
    };
    expect(() => set.load('a', strange)).toThrow(/^adapter "a": none of its 2 tensors has a place in the model/);
    const mixed = { ...adapters.a, lora: { ...adapters.a.lora, ...strange.lora } };
    expect(() => set.load('a', mixed)).toThrow(
      /the model has no layer model\.language_model\.layers\.9\.mlp\.up_proj; /,
    );
    expect(set.load('a', mixed, { allowUnmatched: true })).toMatchObject({ matched: 28, unmatched: { length: 2 } });
  });
});

describe('merging', () => {
  const device = createWasmDevice();

  test('rounds to the storage of each weight', async () => {
    const dense = microWeights();
    const weights: Record<string, Weight> = {};
    for (const [name, weight] of Object.entries(dense)) {
      weights[name] = !isQuantized(weight) && weight.rank === 2 ? cast(weight, 'bf16') : weight;
    }
    await evaluate(weights, { device });
    const base: ModelContext = { config: microConfig, weights };
    const merged = await mergeAdapter(base, randomAdapter(1), device);
    const path = 'model.language_model.layers.0.mlp.up_proj.weight';
    expect((merged.weights[path] as { dtype: string }).dtype).toBe('bf16');
    expect(merged.weights['model.language_model.norm.weight']).toBe(weights['model.language_model.norm.weight']);
    const difference = largestDifference(
      await hiddenOf(merged, device),
      await hiddenOf(withAdapter(base, randomAdapter(1)), device),
    );
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(0.1);
  });

  test('into quantised weights, or beside another adapter, is refused', async () => {
    const weights: Weights = Object.fromEntries(
      Object.entries(microWeights()).map(([name, weight]) => [
        name,
        !isQuantized(weight) && name.endsWith('_proj.weight') ? quantize(weight, { bits: 8, groupSize: 32 }) : weight,
      ]),
    );
    await expect(mergeAdapter({ config: microConfig, weights }, randomAdapter(1), device)).rejects.toThrow(
      /_proj\.weight is quantised, .*: merge into the dense checkpoint and quantise the result/,
    );
    const active = withAdapter({ config: microConfig, weights: microWeights() }, randomAdapter(1));
    await expect(mergeAdapter(active, randomAdapter(2), device)).rejects.toThrow(/merge into the base model/);
  });
});
