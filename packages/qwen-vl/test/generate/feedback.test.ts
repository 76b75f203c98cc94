/** Hidden states fed back, each sequence for itself, against the definition. */
import { type Tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ModelContext, type Prompt, Qwen2_5_VL, fixedFeedback } from '../../src/index.js';
import { argmaxOf, naiveForward, noiseImage, promptOf, readContext } from './support.js';

const device = createWasmDevice();
const latentId = 5;
const tokens = 9;
let context: ModelContext;
let model: Qwen2_5_VL;
beforeAll(async () => {
  context = await readContext('tiny-untied');
  model = new Qwen2_5_VL(context, device);
});

/** Without a cache, on the host: after a start token, `steps` hidden states, then the end token if there is one. */
async function naiveFeedback(prompt: Prompt, startId: number, steps: number, endId?: number) {
  const ids: number[] = [];
  const vectors = new Map<number, Tensor>();
  let remaining = 0;
  while (ids.length < tokens) {
    const { logits, hidden } = await naiveForward(model, prompt, ids, device, vectors);
    if (remaining > 1) {
      vectors.set(prompt.inputIds.length + ids.length, hidden);
      ids.push(latentId);
      remaining--;
      continue;
    }
    const id = remaining === 1 && endId !== undefined ? endId : argmaxOf(logits);
    remaining = id === startId ? steps + 1 : 0;
    ids.push(id);
  }
  return { ids, vectors };
}

describe('a fixed number of latents', () => {
  const prompts = () => [
    promptOf(context, [84, 82, 349, 198]),
    promptOf(context, [7, noiseImage(context, 2, 3, 'picture'), 30]),
    promptOf(context, [300, 301]),
  ];

  test.each([
    ['chosen by the model after them', 1, undefined],
    ['chosen by the model after them', 3, undefined],
    ['an end token after them', 2, 6],
  ])('%s, %i steps', async (_name, steps, endId) => {
    const options = { maxNewTokens: tokens, stopIds: [] };
    const plain = await model.generateBatch({ prompts: prompts(), ...options });
    // A token that one sequence chooses early, and others later or never.
    const startId = plain[0]!.ids[1]!;
    const feedback = fixedFeedback({ startId, latentId, steps, ...(endId !== undefined && { endId }) });
    const request = { prompts: prompts(), ...options, feedback };
    const sequences = await model.generateBatch(request);
    let latents = 0;
    for (const [b, prompt] of prompts().entries()) {
      const expected = await naiveFeedback(prompt, startId, steps, endId);
      expect(sequences[b]!.ids, `prompt ${b}`).toEqual(expected.ids);
      const places = [...expected.vectors.keys()].map((at) => at - prompt.inputIds.length);
      expect(sequences[b]!.fedBack).toEqual(places);
      latents += places.length;
    }
    expect(latents).toBeGreaterThanOrEqual(steps);

    const grouped = await model.generateBatch({ ...request, samples: 2 });
    grouped.forEach(({ ids }, r) => expect(ids).toEqual(sequences[Math.floor(r / 2)]!.ids));

    // The vectors that come out are those that went in.
    let step = 0;
    for await (const { fedBack, feedback: vectors } of model.decode({ ...request, prompts: prompts().slice(0, 1) })) {
      if (fedBack[0]) {
        const { vectors: wanted } = await naiveFeedback(prompts()[0]!, startId, steps, endId);
        const at = prompts()[0]!.inputIds.length + step;
        const [got, right] = [await vectors!.data(device), await wanted.get(at)!.data(device)];
        got.forEach((value: number, i: number) => expect(value).toBeCloseTo(right[i]!, 3));
      }
      step++;
    }
  });

  test('a latent ends no sequence, whatever its id', async () => {
    const plain = await model.generateBatch({ prompts: prompts().slice(0, 1), maxNewTokens: tokens, stopIds: [] });
    const startId = plain[0]!.ids[1]!;
    const feedback = fixedFeedback({ startId, latentId, steps: 3 });
    const [sequence] = await model.generateBatch({
      prompts: prompts().slice(0, 1),
      maxNewTokens: 6,
      stopIds: [latentId],
      feedback,
    });
    expect(sequence!.ids.length).toBeGreaterThanOrEqual(5);
    expect(sequence!.fedBack).toEqual([2, 3, 4]);
  });
});
