/** Optimiser steps of the tiny model: forward, backward, clipping and AdamW on a batch of 8. */
import type { StepEvent } from '@mindseye/latent-reasoning';
import { type EngineName, openEngine } from '../engines.ts';
import { measureMemory } from '../process/memory.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { type BenchMethod, startTraining } from '../tiny-model.ts';

interface TrainingOptions {
  readonly [key: string]: Json;
  readonly engine: EngineName;
  readonly method: BenchMethod;
  /** Steps that one sample takes the mean of. */
  readonly stepsPerSample: number;
  /** Steps at the end over which memory is watched; 0 for none. */
  readonly growthSteps: number;
}

/** Memory is first read after so many steps: by then all code is compiled and both batches are known. */
const SETTLING_STEPS = 20;

export const open: OpenSubject<TrainingOptions> = async ({ engine, method, stepsPerSample, growthSteps }) => {
  const device = openEngine(engine);
  const { trainer, batchSize, longest } = await startTraining(method, device);
  const run = trainer.run();
  const step = async (): Promise<StepEvent> => {
    const next = await run.next();
    if (next.done) throw new Error('the training run ended before the benchmark');
    return next.value;
  };
  const steps = async (count: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < count; i++) await step();
    return (performance.now() - start) / count;
  };
  return {
    sample: async () => ({ 'ms per step': await steps(stepsPerSample) }),
    async details() {
      const settled = { batchSize, longestExampleTokens: longest, memory: await measureMemory(device) };
      if (growthSteps === 0) return settled;
      await steps(Math.min(SETTLING_STEPS, growthSteps));
      const before = await measureMemory(device);
      await steps(growthSteps);
      return { ...settled, growth: { steps: growthSteps, before, after: await measureMemory(device) } };
    },
  };
};
