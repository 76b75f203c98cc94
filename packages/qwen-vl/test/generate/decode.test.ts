/** Decoding with a cache against the definition, in every arrangement of prompts, samples, pieces and storage. */
import { type Tensor, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ModelContext, PromptCache, Qwen2_5_VL } from '../../src/index.js';
import {
  type TinyModel,
  logSoftmaxOf,
  naiveForward,
  naiveGreedy,
  noiseImage,
  promptOf,
  readContext,
} from './support.js';

const device = createWasmDevice();
const tokens = 8;

describe.each<TinyModel>(['tiny-tied', 'tiny-untied'])('%s', (name) => {
  let context: ModelContext;
  let model: Qwen2_5_VL;
  beforeAll(async () => {
    context = await readContext(name);
    model = new Qwen2_5_VL(context, device);
  });
  const prompts = () => {
    const picture = noiseImage(context, 3, 5, 'shared');
    return [
      promptOf(context, [84, 82, 349, 198]),
      promptOf(context, [7, picture, 30, 12, picture, 5]),
      promptOf(context, [picture, noiseImage(context, 1, 1, 'small'), 31]),
      promptOf(
        context,
        Array.from({ length: 37 }, (_, i) => (i * 31) % 400),
      ),
    ];
  };
  const options = { maxNewTokens: tokens, stopIds: [] };

  test('a batch of prompts of different lengths and images equals single runs without a cache', async () => {
    const expected = [];
    for (const prompt of prompts()) expected.push(await naiveGreedy(model, prompt, tokens, device));
    const sequences = await model.generateBatch({ prompts: prompts(), ...options });
    expect(sequences.map(({ ids }) => ids)).toEqual(expected);
    for (const [b, prompt] of prompts().entries()) {
      const [single] = await model.generateBatch({ prompts: [prompt], ...options });
      expect(single!.ids, `prompt ${b}`).toEqual(expected[b]);
    }
  });

  test.each([1, 5, 16, 23])('a prompt in pieces of %i tokens', async (prefillChunk) => {
    const [, mixed] = prompts();
    const [whole] = await model.generateBatch({ prompts: [mixed!], ...options });
    const [pieces] = await model.generateBatch({ prompts: [mixed!], prefillChunk, ...options });
    expect(pieces!.ids).toEqual(whole!.ids);
  });

  test('samples of one prompt share its keys and each go their own way', async () => {
    const shared = { prompts: prompts().slice(1, 3), ...options };
    const greedy = await model.generateBatch(shared);
    const alike = await model.generateBatch({ ...shared, samples: 3 });
    alike.forEach(({ ids }, r) => expect(ids).toEqual(greedy[Math.floor(r / 3)]!.ids));

    const sampling = { doSample: true, temperature: 1.5 };
    const sampled = await model.generateBatch({ ...shared, samples: 3, sampling, seed: 11, logProbs: true });
    expect(new Set(sampled.map(({ ids }) => ids.join())).size).toBeGreaterThan(4);
    // What each sample says of its own tokens is what the model says of that sequence alone.
    for (const [r, { ids, logProbs, sampledLogProbs }] of sampled.entries()) {
      const prompt = shared.prompts[Math.floor(r / 3)]!;
      for (const at of [0, 3, 7]) {
        const { logits } = await naiveForward(model, prompt, ids.slice(0, at), device);
        expect(logProbs[at]).toBeCloseTo(logSoftmaxOf(logits)[ids[at]!]!, 3);
        expect(sampledLogProbs[at]).toBeCloseTo(logSoftmaxOf(logits.map((value) => value / 1.5))[ids[at]!]!, 3);
      }
    }
  });

  test('keys and values in 16 bits', async () => {
    for (const cacheDType of ['f16', 'bf16'] as const) {
      const [wide] = await model.generateBatch({ prompts: [prompts()[1]!], ...options, logProbs: true });
      const [narrow] = await model.generateBatch({ prompts: [prompts()[1]!], ...options, logProbs: true, cacheDType });
      expect(Math.abs(narrow!.logProbs[0]! - wide!.logProbs[0]!)).toBeLessThan(cacheDType === 'f16' ? 0.01 : 0.1);
      expect(narrow!.ids.slice(0, 2)).toEqual(wide!.ids.slice(0, 2));
    }
  });

  test('reading every few steps gives the same tokens, and stops in time', async () => {
    const request = { prompts: prompts().slice(0, 2), maxNewTokens: tokens };
    const free = await model.generateBatch({ ...request, stopIds: [] });
    const stopId = free[0]!.ids[3]!;
    const each = await model.generateBatch({ ...request, stopIds: [stopId] });
    const few = await model.generateBatch({ ...request, stopIds: [stopId], readEvery: 5 });
    expect(few).toEqual(each);
    expect(each[0]!.finished).toBe(true);
    expect(each[0]!.ids).toEqual(free[0]!.ids.slice(0, free[0]!.ids.indexOf(stopId)));
  });

  test('a cache that two requests want at once, or another model, gives no wrong answer', async () => {
    const picture = noiseImage(context, 2, 3, 'shared');
    const prompt = promptOf(context, [9, picture, 44, 45, 46]);
    const expected = await naiveGreedy(model, prompt, tokens, device);
    const cache = new PromptCache();
    const ask = async (asked: Qwen2_5_VL = model): Promise<readonly number[]> =>
      (await asked.generateBatch({ prompts: [prompt], ...options, cache }))[0]!.ids;
    expect(await ask()).toEqual(expected);
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([expected, expected, expected]);

    // The same weights but for the head of one layer, as an adapter would change it: its keys are its own.
    const name = 'model.language_model.layers.0.self_attn.k_proj.bias';
    const bias = context.weights[name] as Tensor;
    const other = new Qwen2_5_VL(
      { ...context, weights: { ...context.weights, [name]: tensor(new Float32Array(bias.size).fill(3), bias.shape) } },
      device,
    );
    const own = await naiveGreedy(other, prompt, tokens, device);
    expect(await ask(other)).toEqual(own);
    expect(await ask()).toEqual(expected);
  });

  test('a cache carries a conversation over turns with a new picture', async () => {
    const cache = new PromptCache();
    const [first, second] = [noiseImage(context, 2, 3, 'first'), noiseImage(context, 3, 3, 'second')];
    const opening = promptOf(context, [9, first, 44, 45]);
    const [answer] = await model.generateBatch({ prompts: [opening], ...options, cache });
    expect(cache.length).toBe(opening.inputIds.length + tokens - 1);
    const said = answer!.ids.filter((id) => id !== context.config.imageTokenId);
    const next = promptOf(context, [9, first, 44, 45, ...said, 17, second, 23]);
    const expected = await naiveGreedy(model, next, tokens, device);
    const [continued] = await model.generateBatch({ prompts: [next], ...options, cache });
    expect(continued!.ids).toEqual(expected);

    // Another picture in the first place: everything from it on is new.
    const changed = promptOf(context, [9, second, 44, 45]);
    const same = { ...changed, inputIds: Int32Array.from([9, ...Array.from(changed.inputIds).slice(1)]) };
    const [other] = await model.generateBatch({ prompts: [same], ...options, cache });
    expect(other!.ids).toEqual(await naiveGreedy(model, same, tokens, device));
    // The same prompt again takes all but its last token from the cache.
    const [repeated] = await model.generateBatch({ prompts: [same], ...options, cache });
    expect(repeated!.ids).toEqual(other!.ids);
  });
});
