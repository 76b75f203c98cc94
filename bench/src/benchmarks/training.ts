/** Optimiser steps of the tiny model, by this project and by PyTorch. */
import { type Benchmark, milliseconds, moduleOf, roundsOf } from '../benchmark.ts';
import { engineNames, fastEngineNames } from '../engines.ts';
import type { SubjectSpec } from '../process/subject.ts';
import { type BenchMethod, benchMethods } from '../tiny-model.ts';

const TORCH_THREADS = [1, 2];

export const torchName = (threads: number): string => (threads === 1 ? 'PyTorch' : `PyTorch, ${threads} threads`);

/** Only LIVR's step has its like in PyTorch. */
const torch = (method: BenchMethod, stepsPerSample: number): SubjectSpec[] =>
  method !== 'livr'
    ? []
    : TORCH_THREADS.map((threads) => ({
        name: torchName(threads),
        module: moduleOf('training-torch'),
        options: { threads, stepsPerSample },
      }));

export function trainingStep(method: BenchMethod, summary: string): Benchmark {
  return {
    summary: `${summary}, batch ${benchMethods[method].batchSize}`,
    rounds: roundsOf(5),
    subjects: ({ quick }) => {
      const own = (quick ? fastEngineNames : engineNames).map((engine) => ({
        name: engine,
        module: moduleOf('training'),
        options: {
          engine,
          method,
          stepsPerSample: quick || engine === 'reference' ? 1 : 10,
          growthSteps: quick || engine === 'reference' ? 0 : 200,
        },
      }));
      return quick ? own : [...own, ...torch(method, 10)];
    },
    show: (_metric, median) => milliseconds(median),
  };
}
