/** Tensors written straight into the memory of the device: no copy where it can be shown, the same tensor where it cannot. */
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as t from '@mindseye/tensor-core';
import { expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { boundedMemory } from './support.js';

const spec = { shape: [3, 4], dtype: 'f32' } as const;
const numbers = Float32Array.from({ length: 12 }, (_, i) => i - 5.5);

const doubled = async (x: t.Tensor, device: t.Device): Promise<number[]> => {
  const y = t.add(x, x);
  await t.evaluate(y, { device });
  return [...(await y.data())];
};
const expected = [...numbers].map((x) => 2 * x);

test('a file is read into the memory that kernels read, which grows meanwhile', async () => {
  const device = createWasmDevice();
  const folder = await mkdtemp(join(tmpdir(), 'receive-'));
  try {
    await writeFile(join(folder, 'numbers'), numbers);
    const file = await open(join(folder, 'numbers'));
    let given: t.HostArray | undefined;
    const x = await t.receive(device, spec, async (data) => {
      given = data;
      device.upload(new Float32Array(1_000_000), { shape: [1_000_000], dtype: 'f32' });
      await file.read(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 0, data.byteLength, 0);
    });
    await file.close();
    expect(given!.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(await doubled(x, device)).toEqual(expected);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a memory that moves when it grows is not shown: the elements are uploaded', async () => {
  const device = createWasmDevice({ memory: boundedMemory(2 ** 24) });
  const x = await t.receive(device, spec, (data) => {
    expect(data.buffer).toBeInstanceOf(ArrayBuffer);
    device.upload(new Float32Array(1_000_000), { shape: [1_000_000], dtype: 'f32' });
    data.set(numbers);
    return Promise.resolve();
  });
  expect(await doubled(x, device)).toEqual(expected);
});

test('nothing is kept of a tensor whose filling fails', async () => {
  const device = createWasmDevice();
  await expect(t.receive(device, spec, () => Promise.reject(new Error('the file ends early')))).rejects.toThrow(
    'the file ends early',
  );
  expect(device.memory().rootBytes).toBe(0);
});
