/** One training step gives back what it took: 200 steps hold as many bytes as 20. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Device, createReferenceDevice } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { expect, test } from 'vitest';
import { type Method } from '../src/index.js';
import { microMethod, microSet, microSetup } from './support/micro.js';
import { startTrainer } from './support/runs.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of roots once handles that nobody holds have been collected. */
async function rootBytes(device: Device): Promise<number> {
  for (let turn = 0; turn < 4; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return device.memory().rootBytes;
}

test.each([
  { engine: 'reference', create: createReferenceDevice, batchSize: 1 },
  { engine: 'wasm', create: createWasmDevice, batchSize: 2 },
])('200 steps on the $engine device, $batchSize micro-batches a step', async ({ create, batchSize }) => {
  const device = create();
  const method: Method = {
    ...microMethod,
    batchSize,
    stages: [{ name: 'bottleneck', mask: 'bottleneck', epochs: 55 }],
  };
  const data = microSet(4 * batchSize);
  const trainer = await startTrainer({ method, setup: microSetup(method), data, device, seed: 1, microBatchSize: 1 });
  const held: number[] = [];
  const peaks: number[] = [];
  let before = Number.POSITIVE_INFINITY;
  for await (const { step } of trainer.run()) {
    const { rootBytes: now, peakBytes } = device.memory();
    // Between collections a step leaves its loss and its norm, two scalars. The features come in the first epoch.
    if (step > 4) expect(now - before, `step ${step}`).toBeLessThanOrEqual(8);
    before = now;
    if (step % 20 !== 0) continue;
    held.push(await rootBytes(device));
    peaks.push(peakBytes);
  }
  expect(held.length).toBe(11);
  expect(new Set(held), held.join()).toEqual(new Set([held[0]]));
  expect(peaks.at(-1)! - peaks[0]!).toBeLessThan(1024);
});
