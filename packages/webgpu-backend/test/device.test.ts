/** The device contract: buffers, donation, account, errors. */
import * as t from '@mindseye/tensor-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openAdapter } from '../src/adapter.js';
import { createDevice } from '../src/device.js';
import { openDevice } from '../src/index.js';
import { distance, gpu, indices, reference, values } from './support.js';

const dtypes = ['f32', 'i32', 'u32', 'bool', 'f16', 'bf16'] as const;

test('upload and read give every dtype back bit for bit, lengths 0 and 1 included', async () => {
  const property = fc.asyncProperty(
    fc.constantFrom(...dtypes),
    fc.array(fc.nat(0xffffffff), { maxLength: 70 }),
    async (dtype, words) => {
      const spec = { shape: [words.length], dtype };
      const make = {
        f32: () => Float32Array.from(words, (word) => word / 7),
        i32: () => Int32Array.from(words),
        u32: () => Uint32Array.from(words),
        bool: () => Uint8Array.from(words, (word) => word & 1),
        f16: () => Uint16Array.from(words),
        bf16: () => Uint16Array.from(words),
      };
      const data: t.HostArray = make[dtype]();
      const buffer = gpu.upload(data, spec);
      expect(await gpu.read(buffer, spec)).toEqual(data);
      gpu.release(buffer);
    },
  );
  await fc.assert(property, { numRuns: 40 });
});

test('f16 and bf16 codes are cast as on the host, every code', async () => {
  const codes = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
  for (const dtype of ['f16', 'bf16'] as const) {
    const widened = await t.cast(t.tensor(codes.slice(), [codes.length], { dtype }), 'f32').data(gpu);
    const expected = await t.cast(t.tensor(codes.slice(), [codes.length], { dtype }), 'f32').data(reference);
    const differing = expected.findIndex((value: number, i: number) => !Object.is(widened[i], value));
    expect(
      differing,
      `${dtype} code 0x${differing.toString(16)}: ${widened[differing]} for ${expected[differing]}`,
    ).toBe(-1);
    const back = t.cast(t.tensor(Float32Array.from(expected), [codes.length]), dtype);
    expect(await back.data(gpu)).toEqual(
      await t.cast(t.tensor(Float32Array.from(expected), [codes.length]), dtype).data(reference),
    );
  }
});

test('rounding to f16 and bf16 agrees with the host between codes', async () => {
  const between = (): t.Tensor =>
    t.tensor(Float32Array.from({ length: 6000 }, (_, i) => (1 + (i % 97) / 96.7) * 2 ** ((i % 44) - 27)));
  for (const dtype of ['f16', 'bf16'] as const)
    expect(await t.cast(between(), dtype).data(gpu)).toEqual(await t.cast(between(), dtype).data(reference));
});

test('a donated pair keeps the donor buffer, through any number of steps', async () => {
  const step = t.compile(
    (state: { a: t.Tensor; b: t.Tensor }) => ({ a: t.add(t.mul(state.a, 0.5), state.b), b: t.sub(state.b, state.a) }),
    {
      device: gpu,
      donate: [0],
    },
  );
  let state = await step({ a: values([33], 1), b: values([33], 2) });
  const before = gpu.memory().rootBytes;
  let [a, b] = [await values([33], 1).data(reference), await values([33], 2).data(reference)];
  for (let i = 0; i < 4; i++) {
    if (i > 0) state = await step(state);
    [a, b] = [a.map((x, at) => Math.fround(x * 0.5 + b[at]!)), b.map((x, at) => Math.fround(x - a[at]!))];
  }
  expect(distance(await state.a.data(), a)).toBeLessThan(1e-6);
  expect(distance(await state.b.data(), b)).toBeLessThan(1e-6);
  expect(gpu.memory().rootBytes).toBe(before);
});

test('donated inputs that come back swapped, unchanged or twice keep their values', async () => {
  const swap = t.compile((a: t.Tensor, b: t.Tensor) => [b, a, t.reshape(a, [3, 1]), t.add(a, b)], {
    device: gpu,
    donate: [0, 1],
  });
  const outputs = await swap(t.tensor([1, 2, 3]), t.tensor([4, 5, 6]));
  const read = await Promise.all(outputs.map(async (output) => [...(await output.data())]));
  expect(read).toEqual([
    [4, 5, 6],
    [1, 2, 3],
    [1, 2, 3],
    [5, 7, 9],
  ]);
});

test('one tensor as several arguments, and one operand twice', async () => {
  const f = t.compile((a: t.Tensor, b: t.Tensor) => t.add(t.mul(a, a), b), { device: gpu });
  const x = t.tensor([1, 2, 3]);
  expect([...(await (await f(x, x)).data())]).toEqual([2, 6, 12]);
});

test('runs under way at once share the arena without harm', async () => {
  const f = t.compile((x: t.Tensor) => t.softmax(t.matmul(t.exp(x), t.sin(x))), { device: gpu });
  const inputs = Array.from({ length: 6 }, (_, seed) => values([20, 20], seed));
  const together = await Promise.all(inputs.map((x) => f(x)));
  for (const [seed, y] of together.entries())
    expect(
      distance(
        await y.data(),
        await t.softmax(t.matmul(t.exp(values([20, 20], seed)), t.sin(values([20, 20], seed)))).data(reference),
      ),
    ).toBeLessThan(1e-5);
});

test('a plan still runs after a larger one has replaced the arena', async () => {
  const device = await openDevice();
  const f = t.compile((x: t.Tensor) => t.neg(t.exp(t.neg(x))), { device });
  const x = t.tensor([0, 0]);
  await f(x);
  await t.evaluate(t.neg(t.exp(t.neg(t.full([10_000], 1)))), { device });
  expect([...(await (await f(x)).data())]).toEqual([-1, -1]);
});

test('memory of the intermediates that a run left behind is never read', async () => {
  const poison = t.compile((x: t.Tensor) => t.sum(t.mul(t.add(x, NaN), t.sub(x, NaN))), { device: gpu });
  await poison(t.full([50000], 1));
  const f = (): t.Tensor =>
    t.sum(t.pad(t.scatterAdd(t.softmax(values([40, 9], 1)), indices([40], 7, 2), 30), [3, 1], [2, 5]), 0);
  expect(distance(await f().data(gpu), await f().data(reference))).toBeLessThan(1e-6);
});

test.each([
  ['gather', 'index 5 is outside', () => t.gather(values([5, 3]), t.tensor(Int32Array.of(4, 5, 0)))],
  ['gather', 'index -1 is outside', () => t.gather(values([5, 3]), t.tensor(Int32Array.of(4, -1, 0)))],
  ['scatterAdd', "outside the table's 2 rows", () => t.scatterAdd(values([3, 2]), t.tensor(Int32Array.of(0, 1, 2)), 2)],
  [
    'updateSlice',
    'rows 4 to 6 leave the capacity of 5',
    () => t.updateSlice(values([5, 2]), values([2, 2]), t.tensor(Int32Array.of(4)), 0),
  ],
])('%s: a bad index is one clear error (%s), and the device goes on', async (name, message, build) => {
  await expect(build().data(gpu)).rejects.toThrow(new RegExp(`^${name}: .*${message}`));
  await expect(build().data(gpu)).rejects.toThrow(RangeError);
  expect([...(await t.gather(t.tensor([1, 2, 3]), t.tensor(Int32Array.of(2, 0))).data(gpu))]).toEqual([3, 1]);
});

test('the fast profile reads a bad index as zeros', async () => {
  const device = await openDevice({ profile: 'fast' });
  const rows = t.gather(t.tensor([1, 2, 3]), t.tensor(Int32Array.of(2, 7, -1, 0)));
  expect([...(await rows.data(device))]).toEqual([3, 0, 0, 1]);
});

test.each(['checked', 'fast'] as const)(
  'a command that WebGPU refused is reported once, profile %s',
  async (profile) => {
    const { gpu: native, report } = await openAdapter({});
    const device = createDevice(native, report, { profile });
    native.createBuffer({ size: 2 * report.limits.maxBufferSize, usage: 128 });
    await native.queue.onSubmittedWorkDone();
    await expect(t.exp(t.tensor([0])).data(device)).rejects.toMatchObject({ name: 'WebGpuError', code: 'validation' });
    expect(await t.exp(t.tensor([0])).data(device)).toEqual(Float32Array.of(1));
  },
);

test('a row that no binding holds is refused by the name of the limit', async () => {
  const device = await openDevice({ limits: { maxStorageBufferBindingSize: 1024 } });
  expect(() => device.upload(new Float32Array(514), { shape: [2, 257], dtype: 'f32' })).toThrow(
    /f32\[2, 257\] takes 1028 bytes.*1024.*maxStorageBufferBindingSize/,
  );
  const small = await openDevice({ limits: { maxBufferSize: 512 } });
  expect(() => small.upload(new Float32Array(129), { shape: [1, 129], dtype: 'f32' })).toThrow(/maxBufferSize/);
});

test('an upload that does not fill its shape is refused', () => {
  expect(() => gpu.upload(new Float32Array(5), { shape: [2, 3], dtype: 'f32' })).toThrow(/5 elements.*f32\[2, 3\]/);
});

test('an adapter that does not exist', async () => {
  await expect(openDevice({ adapter: 'no such adapter' })).rejects.toMatchObject({
    code: 'no-adapter',
    message: expect.stringContaining('no such adapter'),
  });
});

test('a lost device rejects everything with one typed error, and a fresh device works', async () => {
  const adapter = await openAdapter({});
  const device = createDevice(adapter.gpu, adapter.report, { profile: 'checked' });
  const x = await t.evaluate(t.exp(values([4])), { device });
  const pending = t.exp(t.add(x, 1)).data(device);
  adapter.gpu.destroy();
  expect(await device.lost).toMatchObject({ name: 'WebGpuError', code: 'device-lost' });
  await pending.catch((error: unknown) => expect(error).toMatchObject({ code: 'device-lost' }));
  for (let i = 0; i < 2; i++) {
    await expect(x.data()).rejects.toMatchObject({ code: 'device-lost' });
    await expect(t.exp(values([4])).data(device)).rejects.toMatchObject({ code: 'device-lost' });
  }
  expect(await t.exp(t.tensor([0])).data(await openDevice())).toEqual(Float32Array.of(1));
});

test('a steady loop compiles nothing new and holds no more memory', async () => {
  const device = await openDevice({ profile: 'fast' });
  const step = t.compile(
    (w: t.Tensor, x: t.Tensor) => t.sub(w, t.mul(t.matmul(x, t.matmul(x, w), { transposeA: true }), 1e-3)),
    { device, donate: [0] },
  );
  let w = values([16, 4], 1);
  const once = async (i: number): Promise<void> => {
    const x = t.tensor(await values([8, 16], i).data(reference), [8, 16]);
    w = await step(w, x);
    device.release((x.storage as { buffer: t.DeviceBuffer }).buffer);
  };
  await once(0);
  const before = { ...device.memory(), pipelines: device.pipelineCount };
  for (let i = 1; i < 50; i++) await once(i);
  expect({ ...device.memory(), pipelines: device.pipelineCount }).toEqual(before);
  expect((await w.data()).every(Number.isFinite)).toBe(true);
});
