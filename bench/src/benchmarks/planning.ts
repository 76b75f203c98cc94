/** What plans cost and how large they are. */
import { type Benchmark, figure, moduleOf, roundsOf } from '../benchmark.ts';
import { bestEngine } from '../engines.ts';

export const planning: Benchmark = {
  summary:
    'plans of Qwen2.5-VL-3B in its true shape: tracing, building, replay, and memory against the arithmetic minimum',
  rounds: roundsOf(7),
  subjects: ({ quick }) => [
    { name: 'wasm', module: moduleOf('planning'), options: { engine: bestEngine, repetitions: quick ? 2 : 50 } },
  ],
  show: (metric, median) => (metric === 'trace: µs per node' ? `${figure(1e6 / median)} nodes/s` : figure(median)),
};
