/** How tokens are chosen: settings, seeds, penalties, stops. */
import { createReferenceDevice, processLogits, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { InvalidInputError, type ModelContext, type PromptsRequest, Qwen2_5_VL, samplingOf } from '../../src/index.js';
import { argmaxOf, logSoftmaxOf, naiveForward, noiseImage, promptOf, readContext } from './support.js';

const device = createWasmDevice();
let context: ModelContext;
let model: Qwen2_5_VL;
beforeAll(async () => {
  context = await readContext('tiny-tied');
  model = new Qwen2_5_VL(context, device);
});

const prompt = () => promptOf(context, [84, noiseImage(context, 2, 2, 'picture'), 349, 349, 198]);
const asked = (more: Partial<PromptsRequest> = {}): PromptsRequest => ({
  prompts: [prompt()],
  maxNewTokens: 6,
  stopIds: [],
  ...more,
});

describe('greedy with a repetition penalty', () => {
  test.each([1.05, 1.3, 3])('%d: every id of prompt and answer once, without a cache', async (repetitionPenalty) => {
    const [sequence] = await model.generateBatch(asked({ sampling: { repetitionPenalty } }));
    const given = prompt();
    const ids: number[] = [];
    while (ids.length < 6) {
      const { logits } = await naiveForward(model, given, ids, device);
      const punished = logits.slice();
      for (const id of new Set([...Array.from(given.inputIds), ...ids]))
        punished[id] = logits[id]! < 0 ? logits[id]! * repetitionPenalty : logits[id]! / repetitionPenalty;
      ids.push(argmaxOf(punished));
    }
    expect(sequence!.ids).toEqual(ids);
  });

  test('does not depend on the padding of a batch', async () => {
    const sampling = { repetitionPenalty: 2 };
    const long = promptOf(
      context,
      Array.from({ length: 30 }, (_, i) => 40 + i),
    );
    const [alone] = await model.generateBatch(asked({ sampling }));
    const [beside] = await model.generateBatch(asked({ sampling, prompts: [prompt(), long] }));
    expect(beside!.ids).toEqual(alone!.ids);
  });
});

describe('sampling', () => {
  test('draws only what the settings leave, with the probabilities they give', async () => {
    const { logits } = await naiveForward(model, prompt(), [], device);
    const settings = fc.record({
      temperature: fc.double({ min: 0.3, max: 3, noNaN: true }),
      topK: fc.integer({ min: 0, max: 40 }),
      topP: fc.double({ min: 0.05, max: 1, noNaN: true }),
      minP: fc.double({ min: 0, max: 0.3, noNaN: true }),
      repetitionPenalty: fc.constantFrom(1, 1.2),
      seed: fc.nat(),
    });
    const reference = createReferenceDevice();
    await fc.assert(
      fc.asyncProperty(settings, async ({ seed, ...sampling }) => {
        const samples = 24;
        const sequences = await model.generateBatch(
          asked({ samples, maxNewTokens: 1, seed, logProbs: true, sampling: { doSample: true, ...sampling } }),
        );
        const ids = tensor(Int32Array.from(prompt().inputIds), [1, prompt().inputIds.length]);
        const processed = await processLogits(tensor(logits, [1, logits.length]), { ...sampling, ids }).data(reference);
        const expected = logSoftmaxOf(processed);
        for (const { ids: drawn, sampledLogProbs } of sequences) {
          expect(expected[drawn[0]!]).toBeGreaterThan(-Infinity);
          expect(sampledLogProbs[0]).toBeCloseTo(expected[drawn[0]!]!, 3);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('frequencies over many samples', async () => {
    const { logits } = await naiveForward(model, prompt(), [], device);
    const samples = 512;
    const sequences = await model.generateBatch(
      asked({ samples, maxNewTokens: 1, seed: 5, sampling: { doSample: true, topK: 4, temperature: 2 } }),
    );
    const best = [...logits.keys()].toSorted((a, b) => logits[b]! - logits[a]!).slice(0, 4);
    const probabilities = logSoftmaxOf(best.map((id) => logits[id]! / 2)).map(Math.exp);
    best.forEach((id, i) => {
      const share = sequences.filter(({ ids }) => ids[0] === id).length / samples;
      // Five standard deviations.
      const deviation = Math.sqrt((probabilities[i]! * (1 - probabilities[i]!)) / samples);
      expect(Math.abs(share - probabilities[i]!)).toBeLessThan(5 * deviation);
    });
  });

  test('one seed, one result; another seed, another', async () => {
    const request = asked({ samples: 4, maxNewTokens: 5, sampling: { doSample: true, temperature: 3 } });
    const first = await model.generateBatch({ ...request, seed: 1 });
    expect(await model.generateBatch({ ...request, seed: 1 })).toEqual(first);
    expect(await model.generateBatch({ ...request, seed: 2 })).not.toEqual(first);
  });

  test('suppressed ids are never chosen, and change nothing else', async () => {
    const [free] = await model.generateBatch(asked({ maxNewTokens: 1, logProbs: true }));
    const { logits } = await naiveForward(model, prompt(), [], device);
    const falling = [...logits.keys()].toSorted((a, b) => logits[b]! - logits[a]!);
    expect(free!.ids[0]).toBe(falling[0]);
    const suppressIds = falling.slice(0, 3);
    const [next] = await model.generateBatch(asked({ maxNewTokens: 1, logProbs: true, sampling: { suppressIds } }));
    expect(next!.ids[0]).toBe(falling[3]);
    expect(next!.logProbs[0]).toBeCloseTo(logSoftmaxOf(logits)[falling[3]!]!, 3);
    expect(next!.sampledLogProbs[0]).toBeGreaterThan(next!.logProbs[0]!);
  });

  test('settings of a checkpoint', () => {
    const config = { doSample: true, temperature: 0.1, topK: 1, topP: 0.001, repetitionPenalty: 1.05 };
    expect(samplingOf({ ...config, maxNewTokens: null, bosTokenId: null, eosTokenIds: [], padTokenId: null })).toEqual(
      config,
    );
  });
});

describe('stopping', () => {
  test('each sequence at its own stop id, the others go on', async () => {
    const prompts = [prompt(), promptOf(context, [12, 13, 14]), promptOf(context, [400, 2])];
    const free = await model.generateBatch(asked({ prompts }));
    const stopIds = [free[1]!.ids[1]!];
    const stopped = await model.generateBatch(asked({ prompts, stopIds }));
    stopped.forEach((sequence, r) => {
      const at = free[r]!.ids.indexOf(stopIds[0]!);
      expect(sequence.ids).toEqual(at < 0 ? free[r]!.ids : free[r]!.ids.slice(0, at));
      expect(sequence.finished).toBe(at >= 0);
    });
  });

  test('the host may end a sequence; its last token stays', async () => {
    const request = asked({ prompts: [prompt(), promptOf(context, [12, 13, 14])] });
    const free = await model.generateBatch(request);
    for (const readEvery of [1, 3]) {
      const seen: number[][] = [[], []];
      const stopped = await model.generateBatch({
        ...request,
        readEvery,
        stopWhen: (r, id) => seen[r]!.push(id) === 2 && r === 0,
      });
      expect(stopped[0]!.ids).toEqual(free[0]!.ids.slice(0, 2));
      expect(stopped[0]!.finished).toBe(true);
      expect(stopped[1]!.ids).toEqual(free[1]!.ids);
      expect(seen).toEqual([free[0]!.ids.slice(0, 2), free[1]!.ids]);
    }
  });

  test('an abort ends it between two steps', async () => {
    const controller = new AbortController();
    const got: number[] = [];
    const run = async (): Promise<void> => {
      for await (const id of model.generate({
        row: prompt(),
        images: prompt().images!,
        stopIds: [],
        signal: controller.signal,
      })) {
        got.push(id);
        if (got.length === 3) controller.abort(new Error('enough'));
      }
    };
    await expect(run()).rejects.toThrow('enough');
    expect(got).toHaveLength(3);
  });
});

test.each<[string, Partial<PromptsRequest>]>([
  ['there is no prompt', { prompts: [] }],
  ['prompt 2 is empty', { prompts: [{ inputIds: [1] }, { inputIds: [] }] }],
  ['maxNewTokens is 0', { maxNewTokens: 0 }],
  ['samples is 1.5', { samples: 1.5 }],
  ['temperature is 0', { sampling: { doSample: true, temperature: 0 } }],
  ['topP is 1.5', { sampling: { topP: 1.5 } }],
  ['seed is -1', { seed: -1 }],
  ['seed is 0.5', { seed: 0.5 }],
  ['suppressIds has -3', { sampling: { suppressIds: [-3] } }],
  ['topK is NaN', { sampling: { topK: Number.NaN } }],
  ['every prompt token needs a role', { roles: { prompts: [[0]], generated: 0, table: [[true]] } }],
  ['token id 512', { prompts: [{ inputIds: [512] }] }],
])('refuses: %s', async (message, more) => {
  const run = model.generateBatch(asked(more));
  await expect(run).rejects.toThrow(message);
  await expect(run).rejects.toBeInstanceOf(InvalidInputError);
});
