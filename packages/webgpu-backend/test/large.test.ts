/** Tensors that are larger than one binding: held in shards, read in parts. */
import * as t from '@mindseye/tensor-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openDevice } from '../src/index.js';
import { distance, indices, reference, values } from './support.js';

const dtypes = ['f32', 'i32', 'u32', 'bool', 'f16', 'bf16'] as const;

test('shards of every dtype come back bit for bit, and all are given back', async () => {
  const device = await openDevice({ limits: { maxStorageBufferBindingSize: 1024 } });
  const property = fc.asyncProperty(
    fc.constantFrom(...dtypes),
    fc.nat(700),
    fc.integer({ min: 1, max: 11 }),
    async (dtype, rows, width) => {
      const spec = { shape: [rows, width], dtype };
      const data = t.hostView(new ArrayBuffer(8 * rows * width), 0, spec).map((_, i) => (i * 37) % 2);
      const buffer = device.upload(data, spec);
      expect(buffer.byteLength).toBeGreaterThanOrEqual(data.byteLength);
      expect(await device.read(buffer, spec)).toEqual(data);
      device.release(buffer);
      expect(device.memory().rootBytes).toBe(0);
    },
  );
  await fc.assert(property, { numRuns: 40 });
});

test('a table in shards: lookup, product, gradients and loss are those of the whole', async () => {
  const device = await openDevice({ limits: { maxStorageBufferBindingSize: 8192 } });
  const graph = (): readonly t.Tensor[] => {
    const table = values([300, 24], 1);
    const x = values([5, 24], 2);
    const [loss, gradient] = t.valueAndGrad((at: t.Tensor) => t.sum(t.square(t.linear(at, table))))(x);
    const ids = indices([4, 3], 300, 3);
    return [t.embedding(table, ids), t.linear(x, table, values([300], 4)), loss, gradient];
  };
  const expected = graph();
  for (const [i, actual] of graph().entries())
    expect(distance(await actual.data(device), await expected[i]!.data(reference)), `output ${i}`).toBeLessThan(1e-5);
});

test('a table that comes out unchanged keeps its shards, donated or not', async () => {
  const device = await openDevice({ profile: 'fast', limits: { maxStorageBufferBindingSize: 1024 } });
  const data = await values([100, 5]).data(reference);
  for (const donate of [[], [0]]) {
    const f = t.compile((table: t.Tensor, x: t.Tensor) => [t.linear(x, table), table], { device, donate });
    const [, same] = await f(values([100, 5]), values([2, 5], 3));
    expect(await same!.data()).toEqual(data);
  }
});

/** The output layer of a 3B model. */
const [classes, width] = [151_936, 2_048] as const;

/** Codes that repeat after a number of elements that no row, shard or power of two divides. */
function repeatingCodes(length: number): Uint16Array {
  const period = 1_000_003;
  const codes = new Uint16Array(length);
  codes.set(t.narrowToBf16(t.fillNormal(new Float32Array(period), [1, 2], 3)));
  for (let filled = period; filled < length; filled *= 2)
    codes.copyWithin(filled, 0, Math.min(filled, length - filled));
  return codes;
}

test('a head of 151,936 x 2,048 on an adapter that binds 128 MiB', async () => {
  const limits = { maxStorageBufferBindingSize: 128 * 2 ** 20, maxBufferSize: 256 * 2 ** 20 };
  const device = await openDevice({ profile: 'fast', limits });
  const codes = repeatingCodes(classes * width);
  const x = (await values([1, width], 5).data(reference)) as Float32Array;
  const row = (i: number): Float32Array => t.widenBf16(codes.subarray(i * width, (i + 1) * width));
  const head = t.tensor(codes, [classes, width], { dtype: 'bf16' });
  await t.evaluate(t.embedding(head, t.tensor(Int32Array.of(0))), { device });
  expect(device.memory().rootBytes).toBeGreaterThan(classes * width * 2);

  // Around every cut, at both ends, and between.
  const cut = (128 * 2 ** 20) / (2 * width);
  const places = [0, 1, 777, cut - 1, cut, 2 * cut - 1, 2 * cut, 3 * cut, 4 * cut - 1, 4 * cut, 140_001, classes - 1];
  const rows = await t.embedding(head, t.tensor(Int32Array.from(places))).data(device);
  places.forEach((place, i) => expect(rows.subarray(i * width, (i + 1) * width), `row ${place}`).toEqual(row(place)));

  const logits = await t.linear(t.tensor(x, [1, width]), head).data(device);
  expect(logits.length).toBe(classes);
  expect(logits.every(Number.isFinite)).toBe(true);
  for (const place of places) {
    const weights = row(place);
    const expected = x.reduce((sum: number, value: number, i: number) => sum + value * weights[i]!, 0);
    expect(Math.abs(logits[place]! - expected), `logit ${place}`).toBeLessThan(1e-3);
  }
  device.release((head.storage as { readonly buffer: t.DeviceBuffer }).buffer);
  expect(device.memory().rootBytes).toBeLessThan(2 * 2 ** 20);
});
