/** Questions about an image: vision tower and prompt up to the first token, then greedy decoding with the cache. */
import { type EngineName, openEngine } from '../engines.ts';
import { measureMemory } from '../process/memory.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { openAnswering } from '../tiny-model.ts';

interface AnsweringOptions {
  readonly [key: string]: Json;
  readonly engine: EngineName;
  /** Tokens decoded after the first. */
  readonly tokens: number;
}

export const open: OpenSubject<AnsweringOptions> = async ({ engine, tokens }) => {
  const device = openEngine(engine);
  const { model, request } = await openAnswering(device);
  const promptTokens = request.row.inputIds.length;
  return {
    async sample() {
      const start = performance.now();
      let first = 0;
      // Nothing stops the answer early: an untrained model's end-of-turn comes at random.
      for await (const _id of model.generate({ ...request, maxNewTokens: tokens + 1, stopIds: [] }))
        first ||= performance.now();
      return { 'ms to first token': first - start, 'ms per token': (performance.now() - first) / tokens };
    },
    details: async () => ({ promptTokens, decodedTokens: tokens, memory: await measureMemory(device) }),
  };
};
