/** One seed gives one result: what is generated on WebGPU (a software adapter, where there is no other) and on the CPU. */
import '@mindseye/gpu-env/setup';
import type { Device } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { openDevice } from '@mindseye/webgpu-backend';
import { expect, test } from 'vitest';
import { type GeneratedSequence, type PromptsRequest, Qwen2_5_VL, fixedFeedback } from '../../src/index.js';
import { noiseImage, promptOf, readContext } from './support.js';

const settings: Readonly<Record<string, Partial<PromptsRequest>>> = {
  greedy: {},
  'keys and values in f16': { cacheDType: 'f16' },
  'samples of each prompt': {
    samples: 2,
    seed: 3,
    sampling: { doSample: true, temperature: 0.8, topK: 20, topP: 0.9, repetitionPenalty: 1.1 },
  },
  'hidden states fed back': { feedback: fixedFeedback({ startId: 30, latentId: 5, steps: 2 }), readEvery: 4 },
};

async function generate(device: Device, more: Partial<PromptsRequest>): Promise<readonly GeneratedSequence[]> {
  // A tensor belongs to its first device.
  const context = await readContext('tiny-untied');
  const prompts = [promptOf(context, [84, noiseImage(context, 2, 3, 'picture'), 349]), promptOf(context, [3, 4])];
  return new Qwen2_5_VL(context, device).generateBatch({
    prompts,
    stopIds: [],
    maxNewTokens: 6,
    logProbs: true,
    ...more,
  });
}

test.each(Object.entries(settings))('%s', async (_name, more) => {
  const [onGpu, onCpu] = [await generate(await openDevice(), more), await generate(createWasmDevice(), more)];
  expect(onGpu.map(({ ids }) => ids)).toEqual(onCpu.map(({ ids }) => ids));
  onGpu.forEach(({ logProbs }, r) =>
    logProbs.forEach((value, at) => expect(value).toBeCloseTo(onCpu[r]!.logProbs[at]!, 3)),
  );
});
