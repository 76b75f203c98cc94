/** What the device holds: flat over long training, independent of what lay in memory before, and an error when it is full. */
import * as t from '@mindseye/tensor-core';
import { arbitraryGraph, buildGraph, graphLoss, readBack, seededValue, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WasmMemoryError, createWasmDevice } from '../../src/index.js';
import { SEED } from '../kernels/support.js';
import { boundedMemory, bytesOf, distance, poison } from './support.js';
import { train } from './training.js';

const megabyte = 2 ** 20;
const noise = (shape: readonly number[], seed = 1): t.Tensor => toTensor(seededValue(shape, 'f32', 'ordinary', seed));

test('200 training steps with donated state hold the bytes of the first, in a memory that does not grow', async () => {
  const memory = boundedMemory(2 ** 28);
  const device = createWasmDevice({ memory });
  const account: object[] = [];
  await train(device, 200, () => account.push({ ...device.memory(), total: memory.buffer.byteLength }));
  expect(account[199]).toEqual(account[0]);
});

test('what is reported: roots, working memory, and the largest sum of both', async () => {
  const device = createWasmDevice();
  expect(device.memory()).toEqual({ rootBytes: 0, arenaBytes: 0, peakBytes: 0 });
  const buffer = device.upload(new Float32Array(100), { shape: [100], dtype: 'f32' });
  expect(device.memory()).toEqual({ rootBytes: 400, arenaBytes: 0, peakBytes: 400 });
  device.release(buffer);
  const product = t.compile((x: t.Tensor) => t.sum(t.matmul(x, x)), { device, donate: [0] });
  await product(noise([64, 64]));
  const { rootBytes, arenaBytes, peakBytes } = device.memory();
  expect(rootBytes).toBe(4);
  expect(arenaBytes).toBeGreaterThanOrEqual(64 * 64 * 4);
  expect(peakBytes).toBeGreaterThanOrEqual(64 * 64 * 4 + arenaBytes);
});

test('results do not depend on what lay in the working memory: random graphs with gradients, poisoned between runs', async () => {
  const property = fc.asyncProperty(arbitraryGraph(), async (recipe) => {
    const memory = boundedMemory(2 ** 28);
    const device = createWasmDevice({ memory });
    const f = (inputs: readonly t.Tensor[]): readonly t.Tensor[] => {
      const [loss, gradients] = t.valueAndGrad((given: readonly t.Tensor[]) => graphLoss(buildGraph(recipe, given)))(
        inputs,
      );
      return [loss, ...gradients, ...buildGraph(recipe, inputs)];
    };
    const plan = t.compile(f, { device }).plan(recipe.inputs.map(toTensor));
    const executable = device.lower(plan);
    const inputs = recipe.inputs.map((input) => device.upload(input.data, input));
    const run = async (): Promise<Uint8Array[]> => {
      const outputs = await executable.run(inputs);
      const bytes = await Promise.all(
        outputs.map(async (buffer, i) => bytesOf({ data: await device.read(buffer, plan.values[plan.outputs[i]!]!) })),
      );
      outputs.forEach((buffer) => device.release(buffer));
      return bytes;
    };
    const first = await run();
    poison(memory, inputs);
    expect(await run()).toEqual(first);
  });
  await fc.assert(property, { seed: SEED, numRuns: 40 });
});

test('memory that grows for the outputs of a run leaves no step with an old view of it', async () => {
  const memory = boundedMemory(2 ** 26);
  const device = createWasmDevice({ memory });
  // The product and the attention take scratch; argmax and concat run on views.
  const f = (x: t.Tensor): t.Tensor[] => {
    const product = t.matmul(t.sin(x), t.sin(x));
    const heads = t.reshape(t.sin(product), [1, 1, 256, 256]);
    const attended = t.attention(heads, heads, heads, { mask: t.mask.causal() });
    return [t.concat([product, t.cos(x)], 1), t.cast(t.argmax(t.cos(product)), 'f32'), t.sin(attended)];
  };
  const compiled = t.compile(f, { device });
  const x = await t.evaluate(t.stopGradient(noise([256, 256])), { device });
  const plan = compiled.plan(x);
  const before = device.memory();
  const views = memory.buffer;
  const actual = await compiled(x);
  expect(memory.buffer).not.toBe(views);
  // Arena and scratch are there since the plan was lowered.
  expect(device.memory().arenaBytes).toBe(before.arenaBytes);
  expect(before.arenaBytes).toBeGreaterThan(plan.arena.byteLength);
  const expected = await t.compile(f, { device: t.createReferenceDevice() })(noise([256, 256]));
  for (const [i, value] of expected.entries()) expect(await distance(actual[i]!, value)).toBeLessThan(1e-4);
});

test('a full memory is a WasmMemoryError, and what the device held stays right', async () => {
  const device = createWasmDevice({ memory: boundedMemory(megabyte) });
  const kept = await t.evaluate(t.stopGradient(noise([1000])), { device });
  const { data } = await readBack(kept);
  const before = device.memory().rootBytes;

  expect(() => device.upload(new Float32Array(megabyte), { shape: [megabyte], dtype: 'f32' })).toThrow(WasmMemoryError);
  // Too large an arena, scratch that does not fit, outputs that do not fit: nothing of them is left behind.
  await expect(t.sum(t.matmul(t.reshape(kept, [1000, 1]), t.reshape(kept, [1, 1000]))).data(device)).rejects.toThrow(
    WasmMemoryError,
  );
  const rows = t.reshape(t.broadcastTo(t.reshape(kept, [1, 1000]), [80, 1000]), [1, 1, 80, 1000]);
  await expect(t.attention(rows, rows, rows, { mask: t.mask.causal() }).data(device)).rejects.toThrow(WasmMemoryError);
  await expect(t.compile((x: t.Tensor) => Array.from({ length: 300 }, () => x), { device })(kept)).rejects.toThrow(
    WasmMemoryError,
  );

  expect(device.memory().rootBytes).toBe(before);
  const doubled = await t.add(kept, kept).data(device);
  expect([...doubled]).toEqual([...data].map((value) => Math.fround(2 * value)));
  await t.evaluate(t.matmul(t.reshape(kept, [20, 50]), t.reshape(kept, [20, 50]), { transposeB: true }), { device });
  expect([...(await kept.data())]).toEqual([...data]);
});

test('an error inside a run leaves the device usable', async () => {
  const device = createWasmDevice();
  const table = noise([4, 3]);
  const picked = (row: number): Promise<t.HostArray> => t.gather(table, t.tensor(Int32Array.of(row))).data(device);
  await expect(picked(9)).rejects.toThrow("gather: index 9 is outside the table's 4 rows");
  expect((await picked(3)).length).toBe(3);
});
