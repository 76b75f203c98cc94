/** What runs hold, what they overwrite, and what a rejected run leaves behind. */
import * as t from '@mindseye/tensor-core';
import { arbitraryGraph, buildGraph, graphLoss, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openDevice } from '../src/index.js';
import { decode, decoderWeights, emptyCache, tinyDecoder } from './decoder.js';
import { gpu, indices, openPoisoned, reference, values } from './support.js';

test.each(['checked', 'fast'] as const)('no run holds more than was known before it: profile %s', async (profile) => {
  const property = fc.asyncProperty(arbitraryGraph(), fc.boolean(), async (recipe, donates) => {
    const device = await openDevice({ profile });
    const leaves = recipe.inputs.map(({ shape, dtype }) => t.placeholder({ shape, dtype }));
    const gradients = t.grad((given: readonly t.Tensor[]) => graphLoss(buildGraph(recipe, given)))(leaves);
    const plan = t.buildPlan({
      inputs: leaves,
      outputs: [...buildGraph(recipe, leaves), ...gradients],
      device,
      ...(donates && { donated: new Set(leaves) }),
    });
    const executable = device.lower(plan);
    const inputs = recipe.inputs.map(({ data, ...spec }) => device.upload(data, spec));
    /** Roots end at whole words, and hold one at least. */
    const rootBytes = (values: readonly number[]): number =>
      values.reduce((sum, value) => sum + Math.max(4, Math.ceil(bytesOf(plan.values[value]!) / 4) * 4), 0);
    const taken = new Set(plan.donations.map(({ output }) => output));
    const fresh = plan.outputs.filter((_, i) => !taken.has(i));
    const known = rootBytes(plan.inputs) + rootBytes(fresh) + executable.workingBytes;
    for (let run = 0; run < 2; run++) {
      if (run > 0 && donates) break;
      const outputs = await executable.run(inputs);
      const { rootBytes: held, peakBytes } = device.memory();
      expect(peakBytes).toBeLessThanOrEqual(known);
      expect(held).toBe(rootBytes(plan.inputs) + rootBytes(fresh));
      if (!donates) for (const output of outputs) device.release(output);
    }
  });
  await fc.assert(property, { numRuns: 8 });
});

const bytesOf = ({ shape, dtype }: t.TensorSpec): number => t.sizeOf(shape) * t.byteSizeOf(dtype);

test('slabs are little more than what is alive at once, however they are coloured', async () => {
  const device = await openDevice({ profile: 'fast' });
  const sizes = { ...tinyDecoder, layers: 6, width: 64, heads: 4, headWidth: 16, hidden: 172 };
  const named = <T>(tree: T): T => t.mapTree(tree as never, (x: t.Tensor) => t.placeholder(x)) as T;
  const weights = named(decoderWeights(sizes));
  const cache = named(emptyCache(sizes));
  const tokens = t.placeholder({ shape: [1, 24], dtype: 'i32' });
  const start = t.placeholder({ shape: [1], dtype: 'i32' });
  const inputs = [...t.flatten(weights), tokens, start];
  const loss = (given: typeof weights): t.Tensor => {
    const { logits } = decode(sizes, given, undefined, tokens, start);
    return t.mean(t.softmaxCrossEntropy(logits, t.reshape(tokens, [24])));
  };
  const plans = [
    t.buildPlan({ outputs: [t.globalNorm(t.grad(loss)(weights))], inputs, device }),
    t.buildPlan({
      outputs: t.flatten(decode(sizes, weights, cache, tokens, start)),
      inputs: [...inputs, ...t.flatten(cache)],
      donated: new Set(t.flatten(cache)),
      device,
    }),
  ];
  for (const plan of plans) {
    expect(plan.arena.liveBytes).toBeGreaterThan(10_000);
    expect(device.lower(plan).workingBytes).toBeLessThan(1.25 * plan.arena.liveBytes);
  }
});

test('the fast profile writes new rows into the donated cache, and nothing else', async () => {
  const device = await openPoisoned('fast');
  const capacity = 4096;
  const append = t.compile((cache: t.Tensor, row: t.Tensor, at: t.Tensor) => t.updateSlice(cache, row, at, 0), {
    device,
    donate: [0, 1, 2],
  });
  let cache = t.tensor(new Float32Array(capacity * 8), [capacity, 8]);
  for (const at of [0, 17, capacity - 1])
    cache = await append(cache, t.tensor(new Float32Array(8).fill(at + 1), [1, 8]), t.tensor(Int32Array.of(at)));
  const data = await cache.data();
  for (const at of [0, 17, capacity - 1]) expect(data[at * 8 + 7]).toBe(at + 1);
  expect(data.filter((value: number) => value !== 0)).toHaveLength(24);
  // The cache, one row, one index: no second cache anywhere, and no arena.
  expect(device.memory()).toEqual({ rootBytes: capacity * 32, arenaBytes: 0, peakBytes: capacity * 32 + 32 + 4 });
});

test.each(['f16', 'bf16', 'bool'] as const)(
  'a %s cache of odd rows keeps what shares a word with the update',
  async (dtype) => {
    const device = await openPoisoned('fast');
    const one = dtype === 'bool' ? 1 : dtype === 'f16' ? 0x3c00 : 0x3f80;
    const filled = (shape: readonly number[], value: number): t.Tensor => {
      const array = t.hostView(new ArrayBuffer(2 * t.sizeOf(shape)), 0, { shape, dtype });
      return t.tensor(array.fill(value), shape, { dtype });
    };
    const append = t.compile((cache: t.Tensor, row: t.Tensor, at: t.Tensor) => t.updateSlice(cache, row, at, 1), {
      device,
      donate: [0],
    });
    let cache = filled([3, 7, 3], 0);
    for (const at of [1, 4]) cache = await append(cache, filled([3, 2, 3], one), t.tensor(Int32Array.of(at)));
    const data = [...(await cache.data())];
    const isWritten = (place: number): boolean => [1, 2, 4, 5].includes(Math.floor(place / 3) % 7);
    expect(data).toEqual(data.map((_, place) => (isWritten(place) ? one : 0)));
  },
);

test('a narrow key/value cache of any sizes grows in place, whatever words its rows straddle', async () => {
  const device = await openPoisoned('fast');
  const length = fc.integer({ min: 1, max: 7 });
  const property = fc.asyncProperty(
    fc.constantFrom('f16', 'bf16'),
    fc.tuple(length, length, length, length, length),
    fc.nat(100),
    async (dtype, [batch, heads, spare, width, rows], seed) => {
      const capacity = rows + spare;
      const append = t.compile((cache: t.Tensor, row: t.Tensor, at: t.Tensor) => t.updateSlice(cache, row, at, 2), {
        device,
        donate: [0],
      });
      const build = async (on: t.Device): Promise<t.Tensor[]> => {
        const shape = [batch, heads, capacity, width];
        const cache = t.cast(values(shape, seed), dtype as t.DType);
        const update = t.cast(values([batch, heads, rows, width], seed + 1), dtype as t.DType);
        return [await t.evaluate(cache, { device: on }), await t.evaluate(update, { device: on })];
      };
      const at = (): t.Tensor => t.tensor(Int32Array.of(seed % (spare + 1)));
      const [cache, update] = await build(device);
      const [expectedCache, expectedUpdate] = await build(reference);
      const before = device.memory().rootBytes;
      const grown = await append(cache!, update!, at());
      expect(device.memory().rootBytes).toBe(before + 4); // the start
      expect(device.memory().arenaBytes).toBe(0);
      expect(await grown.data()).toEqual(await t.updateSlice(expectedCache!, expectedUpdate!, at(), 2).data(reference));
    },
  );
  await fc.assert(property, { numRuns: 25 });
});

/** A step whose state is donated and whose index may be bad: given, or found on the way. */
const guarded: Readonly<Record<string, (state: t.Tensor, at: t.Tensor) => readonly t.Tensor[]>> = {
  'an index that is given': (state, at) => [t.mul(state, 2), t.gather(values([5, 2]), at)],
  'an index that is computed': (state, at) => [t.mul(state, 2), t.gather(values([5, 2]), t.add(at, 1))],
  'the state itself at a bad row': (state, at) => [t.updateSlice(state, values([2, 3]), at, 0)],
  'state that is read after it was replaced': (state, at) => {
    const next = t.add(state, 1);
    return [next, t.gather(t.mul(next, state), at)];
  },
};

test.each(Object.keys(guarded))('a rejected run leaves its donors as they were: %s', async (name) => {
  const state = values([6, 3], 7);
  const before = await values([6, 3], 7).data(reference);
  const step = t.compile(guarded[name]!, { device: gpu, donate: [0] });
  const roots = (): number => gpu.memory().rootBytes;
  await t.evaluate(state, { device: gpu });
  for (const bad of [9, -4]) {
    const at = t.tensor(Int32Array.of(bad));
    await expect(step(state, at)).rejects.toThrow(RangeError);
    expect(await state.data()).toEqual(before);
  }
  const held = roots();
  await expect(step(state, t.tensor(Int32Array.of(8)))).rejects.toThrow(RangeError);
  expect(roots()).toBe(held + 4); // the index
  const [next] = await step(state, t.tensor(Int32Array.of(2)));
  expect((await next!.data()).every(Number.isFinite)).toBe(true);
  await expect(state.data()).rejects.toThrow(/donated/);
});

test('random graphs through narrow dtypes: what shares a word does not disturb its neighbours', async () => {
  const dtype = fc.constantFrom('bool', 'f16', 'bf16', 'f32', 'i32');
  const length = fc.integer({ min: 1, max: 9 });
  const property = fc.asyncProperty(
    dtype,
    fc.tuple(length, length, length),
    fc.nat(2),
    fc.nat(20),
    async (kind, [a, b, c], axis, seed) => {
      const build = (): readonly t.Tensor[] => {
        const shape = [a, b, c];
        const x = (n: number): t.Tensor => t.cast(values(shape, seed + n), kind as t.DType);
        const grown = t.pad(
          x(1),
          shape.map((_, i) => i),
          shape.map((_, i) => 2 - i),
        );
        const joined = t.concat([x(2), x(3), t.slice(x(4), axis, 0, 1)], axis);
        return [
          grown,
          joined,
          t.permute(joined, [2, 0, 1]),
          t.slice(joined, axis, 1),
          t.broadcastTo(t.slice(x(5), 2, 0, 1), shape),
          t.gather(x(6), indices([3, 2], a, seed)),
          t.select(t.cast(values(shape, seed + 9), 'bool'), x(7), x(8)),
        ].map((y) => t.cast(y, 'f32'));
      };
      const expected = build();
      for (const [i, y] of build().entries())
        expect(await y.data(gpu), `output ${i}`).toEqual(await expected[i]!.data(reference));
    },
  );
  await fc.assert(property, { numRuns: 20 });
});

test('graphs with whole inputs of every kind keep their values', async () => {
  const property = fc.asyncProperty(arbitraryGraph(), async (recipe) => {
    const inputs = recipe.inputs.map(toTensor);
    await t.compile((given: readonly t.Tensor[]) => buildGraph(recipe, given), { device: gpu })(inputs);
    for (const [i, input] of inputs.entries()) expect(await input.data()).toEqual(recipe.inputs[i]!.data);
  });
  await fc.assert(property, { numRuns: 10 });
});

test('a bad index into a table in shards, or a bad label of a decomposed loss, rejects and spares the donors', async () => {
  const limits = { maxStorageBufferBindingSize: 4096, maxBufferSize: 8192 };
  const device = await openDevice({ profile: 'checked', limits });
  const table = await t.evaluate(values([300, 8]), { device });
  const state = await t.evaluate(values([4]), { device });
  const before = await state.data();
  const ids = (...given: number[]): t.Tensor => t.tensor(Int32Array.from(given));
  const step = t.compile(
    (given: t.Tensor, ids: t.Tensor, labels: t.Tensor) => [
      t.mul(given, 2),
      t.gather(table, ids),
      t.softmaxCrossEntropy(t.slice(table, 0, 0, 2), labels),
    ],
    { device, donate: [0] },
  );
  await expect(step(state, ids(3, 300), ids(0, 1))).rejects.toThrow(/index 300 is outside the table's 300 rows/);
  await expect(step(state, ids(3, 4), ids(0, 8))).rejects.toThrow(/label 8 is not one of the 8 classes/);
  expect(await state.data()).toEqual(before);
  const [doubled] = await step(state, ids(3, 4), ids(0, 7));
  expect(await doubled!.data()).toEqual(before.map((value) => value * 2));
});
