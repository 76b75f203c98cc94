/** How long a process waits for its first result. */
import { type Benchmark, milliseconds, moduleOf, roundsOf } from '../benchmark.ts';
import { fastEngineNames } from '../engines.ts';

export const startUp: Benchmark = {
  summary: 'a new process: device, plan and first run of the tiny language model on a prompt of 64 tokens',
  rounds: roundsOf(9),
  subjects: () =>
    fastEngineNames.map((engine) => ({ name: engine, module: moduleOf('start-up'), options: { engine } })),
  show: (_metric, median) => milliseconds(median),
};
