/** Answers of the tiny model to a question about an image. */
import { type Benchmark, figure, milliseconds, moduleOf, roundsOf } from '../benchmark.ts';
import { bestEngine, engineNames } from '../engines.ts';

/** A pair of times; the second is better read as a rate. */
const show: Benchmark['show'] = (metric, median) =>
  metric === 'ms per token' ? `${figure(1000 / median)} tokens/s` : milliseconds(median);

const tokensOf = (quick: boolean): number => (quick ? 4 : 32);

export const answering: Benchmark = {
  summary: 'tiny model, one question about an image: time to the first token (vision and prompt), then decoding',
  rounds: roundsOf(7),
  subjects: ({ quick }) =>
    engineNames.map((engine) => ({
      name: engine,
      module: moduleOf('answering'),
      options: { engine, tokens: engine === 'reference' ? 1 : tokensOf(quick), samples: null },
    })),
  show,
};

/** How many answers are drawn from one prompt; the first is what the others are compared with. */
const sampleCounts = [1, 4, 8] as const;

export const sampling: Benchmark = {
  summary: 'tiny model, several answers drawn from one prompt, which is held once: tokens of all of them per second',
  rounds: roundsOf(7),
  subjects: ({ quick }) =>
    sampleCounts.map((samples) => ({
      name: samples === 1 ? '1 sample' : `${samples} samples`,
      module: moduleOf('answering'),
      options: { engine: bestEngine, tokens: tokensOf(quick), samples },
    })),
  show,
};
