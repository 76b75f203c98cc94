/**
 * Questions about an image: vision tower and prompt up to the first token, then decoding with the cache.
 *
 * With several samples the prompt is computed and held once, and each step decodes a token of every sample; the time per token
 * counts the tokens of all of them.
 */
import type { SamplingSettings } from '@mindseye/qwen-vl';
import { type EngineName, openEngine } from '../engines.ts';
import { measureMemory } from '../process/memory.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { openAnswering } from '../tiny-model.ts';

interface AnsweringOptions {
  readonly [key: string]: Json;
  readonly engine: EngineName;
  /** Tokens decoded after the first, by each sample. */
  readonly tokens: number;
  /** Answers to the question, drawn at random; null for the one greedy answer. */
  readonly samples: number | null;
}

/** All settings that published models use, so that none is left out of the compiled step. */
const drawn: SamplingSettings = { doSample: true, repetitionPenalty: 1.05, temperature: 0.7, topK: 50, topP: 0.9 };

export const open: OpenSubject<AnsweringOptions> = async ({ engine, tokens, samples }) => {
  const device = openEngine(engine);
  const { model, prompt } = await openAnswering(device);
  const request = {
    prompts: [prompt],
    ...(samples !== null && { samples, sampling: drawn }),
    maxNewTokens: tokens + 1,
    // Nothing stops an answer early: an untrained model's end-of-turn comes at random.
    stopIds: [],
  };
  return {
    async sample() {
      const start = performance.now();
      let first = 0;
      for await (const _step of model.decode(request)) first ||= performance.now();
      return {
        'ms to first token': first - start,
        'ms per token': (performance.now() - first) / (tokens * (samples ?? 1)),
      };
    },
    details: async () => ({
      promptTokens: prompt.inputIds.length,
      decodedTokens: tokens,
      samples: samples ?? 1,
      memory: await measureMemory(device),
    }),
  };
};
