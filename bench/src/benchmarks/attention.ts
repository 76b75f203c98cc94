/** Attention of the size of a language model's layer. */
import { type Benchmark, milliseconds, moduleOf, roundsOf } from '../benchmark.ts';
import { fastEngineNames } from '../engines.ts';
import { attentionPeerNames } from '../peers/attention.ts';
import { HEADS, HEAD_SIZE } from '../subjects/attention-sizes.ts';

const LENGTH = 1024;
const QUICK_LENGTH = 64;

export const attention: Benchmark = {
  summary: `causal attention, ${HEADS} heads × ${LENGTH} × ${HEAD_SIZE} f32, one thread unless named`,
  rounds: roundsOf(7),
  subjects: ({ quick }) =>
    [...fastEngineNames, ...(quick ? [] : attentionPeerNames)].map((engine) => ({
      name: engine,
      module: moduleOf('attention'),
      options: { engine, length: quick ? QUICK_LENGTH : LENGTH, milliseconds: quick ? 1 : 300 },
    })),
  show: (_metric, median) => milliseconds(median),
};
