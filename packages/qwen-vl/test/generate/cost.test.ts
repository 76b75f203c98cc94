/** What decoding costs besides arithmetic: reads from the device, plans, memory. Counted, not timed. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Device } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { expect, test } from 'vitest';
import { PromptCache, Qwen2_5_VL, cacheCapacity, fixedFeedback, keyValueCacheBytes } from '../../src/index.js';
import { noiseImage, promptOf, readContext } from './support.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

interface Counts {
  reads: number;
  lowered: number;
}

/** The WASM device, with its reads and its plans counted. */
function countingDevice(): { readonly device: Device; readonly counts: Counts } {
  const device = createWasmDevice();
  const counts: Counts = { reads: 0, lowered: 0 };
  const counted = new Proxy(device, {
    get(target, key) {
      if (key === 'read') counts.reads++;
      if (key === 'lower') counts.lowered++;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { device: counted, counts };
}

test('feedback needs no read between tokens: ids are read every few steps, and nothing else', async () => {
  const { device, counts } = countingDevice();
  const context = await readContext('tiny-untied');
  const model = new Qwen2_5_VL(context, device);
  const request = {
    prompts: [promptOf(context, [84, 82, 349, 198]), promptOf(context, [3, 4])],
    stopIds: [],
    maxNewTokens: 12,
    sampling: { doSample: true, temperature: 0.8, topK: 20, repetitionPenalty: 1.1 },
    feedback: fixedFeedback({ startId: 30, latentId: 5, steps: 3 }),
  };
  for (const [readEvery, reads] of [
    [1, 12],
    [4, 3],
    [12, 1],
  ] as const) {
    counts.reads = 0;
    await model.generateBatch({ ...request, readEvery });
    expect(counts.reads, `every ${readEvery}`).toBe(reads);
  }
});

test('steps, other seeds, settings and prompts of similar length make no new plan', async () => {
  const { device, counts } = countingDevice();
  const context = await readContext('tiny-tied');
  const model = new Qwen2_5_VL(context, device);
  const ask = (ids: readonly number[], temperature: number, seed: number): Promise<unknown> =>
    model.generateBatch({
      prompts: [promptOf(context, ids)],
      stopIds: [],
      maxNewTokens: 5,
      seed,
      sampling: { doSample: true, temperature, topP: 0.9 },
    });
  await ask([1, 2, 3], 0.7, 1);
  const before = counts.lowered;
  await ask([4, 5, 6, 7, 8, 9, 10], 0.9, 2);
  await ask([11], 1.3, 3);
  expect(counts.lowered).toBe(before);
});

test('device memory is flat over tokens and over requests', async () => {
  const device = createWasmDevice();
  const context = await readContext('tiny-tied');
  const model = new Qwen2_5_VL(context, device);
  const picture = noiseImage(context, 2, 2, 'picture');
  const settled = async (): Promise<number> => {
    for (let turn = 0; turn < 4; turn++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return device.memory().rootBytes;
  };
  const held: number[] = [];
  for (let round = 0; round < 3; round++) {
    let tokens = 0;
    let early = 0;
    for await (const _step of model.decode({
      prompts: [promptOf(context, [1, picture, 2]), promptOf(context, [3])],
      samples: 2,
      stopIds: [],
      maxNewTokens: 60,
      sampling: { repetitionPenalty: 1.2 },
    })) {
      tokens++;
      if (tokens === 20) early = await settled();
    }
    expect(tokens).toBe(60);
    // The last step's own handles are still in scope.
    expect(await settled()).toBeLessThanOrEqual(early);
    held.push(await settled());
  }
  expect(new Set(held.slice(1)), held.join()).toEqual(new Set([held[1]]));
});

test('a prompt cache holds what it says, and gives it back', async () => {
  const device = createWasmDevice();
  const context = await readContext('tiny-tied');
  const model = new Qwen2_5_VL(context, device);
  const cache = new PromptCache();
  await model.generateBatch({ prompts: [promptOf(context, [1, 2, 3])], stopIds: [], maxNewTokens: 4, cache });
  expect(cache.length).toBe(3 + 4 - 1);
  const capacity = cacheCapacity(16, 1, 4);
  const bytes = keyValueCacheBytes(context.config, { capacity });
  expect(bytes).toBe(2 * 3 * 2 * capacity * 16 * 4);
  expect(keyValueCacheBytes(context.config, { capacity, dtype: 'f16' })).toBe(bytes / 2);
  collect();
  await new Promise((resolve) => setTimeout(resolve, 10));
  const before = device.memory().rootBytes;
  cache.clear();
  for (let turn = 0; turn < 4; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(before - device.memory().rootBytes).toBeGreaterThanOrEqual(bytes);
});
