/** `upload`: after it nothing holds the host memory, and the values are what they were. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  TensorStateError,
  add,
  createReferenceDevice,
  placeholder,
  quantize,
  tensor,
  upload,
} from '../../src/index.js';
import { collectGarbage } from '../../src/node.js';
import type { Device } from '../../src/index.js';

/** A device that keeps no bytes, only counts what it was given. */
function createSink(): { readonly device: Device; readonly given: () => number } {
  let bytes = 0;
  const device = {
    name: 'sink',
    upload: (data: { byteLength: number }) => {
      bytes += data.byteLength;
      return { byteLength: data.byteLength };
    },
    release: () => undefined,
    memory: () => ({ rootBytes: bytes, arenaBytes: 0, peakBytes: bytes }),
  } as unknown as Device;
  return { device, given: () => bytes };
}

describe('upload', () => {
  it('moves every tensor of a tree, and the values stay', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 20 }), async (values) => {
        const device = createReferenceDevice();
        const before = device.memory().rootBytes;
        const tree = { dense: tensor(Float32Array.from(values)), lazy: add(tensor(values), 1), text: 'kept' };
        expect(await upload(tree, device)).toBe(tree);
        expect(device.memory().rootBytes - before).toBeGreaterThanOrEqual(8 * values.length);
        expect(tree.dense.toString()).toContain('device');
        expect([...(await tree.dense.data())]).toEqual([...Float32Array.from(values)]);
        expect([...(await tree.lazy.data())]).toEqual([...Float32Array.from(values).map((value) => value + 1)]);
      }),
    );
  });

  it('moves the parts of a quantised weight', async () => {
    const device = createReferenceDevice();
    const weight = await upload(quantize(tensor(new Float32Array(64).fill(1), [1, 64]), { bits: 4 }), device);
    expect([weight.codes, weight.scales].map(String)).toEqual([
      expect.stringContaining('device'),
      expect.stringContaining('device'),
    ]);
  });

  it('gives the host memory back', async () => {
    const { device, given } = createSink();
    const megabytes = 64;
    await collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    const kept = [];
    for (let i = 0; i < megabytes; i++) kept.push(await upload(tensor(new Float32Array(2 ** 18)), device));
    await collectGarbage();
    expect(given()).toBe(megabytes * 2 ** 20);
    expect(kept).toHaveLength(megabytes);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 2 ** 20);
  });

  it('refuses what has no value, and what is elsewhere', async () => {
    const [here, there] = [createReferenceDevice(), createReferenceDevice()];
    await expect(upload([placeholder({ shape: [1], dtype: 'f32' })], here)).rejects.toThrow(TensorStateError);
    const moved = await upload(tensor([1]), there);
    await expect(upload(moved, here)).rejects.toThrow(/was used on/);
  });
});
