/** The same optimiser step in PyTorch, with transformers and PEFT: same model, adapter, examples, optimiser and schedule. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bestEngine, openEngine } from '../engines.ts';
import type { Json, OpenSubject, Sample } from '../process/subject.ts';
import { startTraining, trainingStart } from '../tiny-model.ts';
import { exportTraining } from '../training-export.ts';
import { startPython } from './python.ts';

interface TorchOptions {
  readonly [key: string]: Json;
  readonly threads: number;
  readonly stepsPerSample: number;
}

const TOLERANCE = 1e-3;

/** The loss of the first step here, which PyTorch has to have too: otherwise it would do other work. */
async function firstLoss(): Promise<number> {
  const { trainer } = await startTraining('livr', openEngine(bestEngine));
  const { value } = await trainer.run().next();
  return value!.loss;
}

export const open: OpenSubject<TorchOptions> = async ({ threads, stepsPerSample }) => {
  const folder = await mkdtemp(join(tmpdir(), 'mindseye-bench-'));
  try {
    await exportTraining(await trainingStart('livr'), folder, openEngine(bestEngine));
    const python = await startPython('bench_training_livr', { folder, threads, stepsPerSample });
    const details = (await python.ask('details')) as { readonly loss: number };
    const expected = await firstLoss();
    if (!(Math.abs(details.loss - expected) <= TOLERANCE * expected))
      throw new Error(`PyTorch starts with a loss of ${details.loss}, this project with ${expected}: the work differs`);
    return {
      sample: async () => (await python.ask('sample')) as Sample,
      details: async () => (await python.ask('details')) as Readonly<Record<string, Json>>,
    };
  } finally {
    // It has read everything by now.
    await rm(folder, { recursive: true, force: true });
  }
};
