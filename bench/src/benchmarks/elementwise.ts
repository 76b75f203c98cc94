/** Elementwise ops and norms on arrays of 16 MiB. */
import { type Benchmark, milliseconds, moduleOf, roundsOf } from '../benchmark.ts';
import { fastEngineNames } from '../engines.ts';
import { EMPTYING_BYTES } from '../limits/empty-caches.ts';
import { elementwisePeerNames } from '../peers/elementwise.ts';

export const elementwise: Benchmark = {
  summary:
    'elementwise ops and norms on [1024, 4096] f32 from memory, forward and with gradients, one thread unless named',
  rounds: roundsOf(7),
  subjects: ({ quick }) => {
    const effort = { repetitions: quick ? 1 : 5, emptyingBytes: quick ? 0 : EMPTYING_BYTES };
    const engines = quick ? fastEngineNames.slice(0, 2) : [...fastEngineNames, ...elementwisePeerNames];
    return [
      ...engines.map((engine) => ({ name: engine, module: moduleOf('elementwise'), options: { engine, ...effort } })),
      { name: 'limit of copying', module: moduleOf('copy-limit'), options: effort },
    ];
  },
  show: (_metric, median) => milliseconds(median),
};
