/** Every benchmark by name. */
import type { Benchmark } from './benchmark.ts';
import { answering, sampling } from './benchmarks/answering.ts';
import { attention } from './benchmarks/attention.ts';
import { elementwise } from './benchmarks/elementwise.ts';
import { matmul } from './benchmarks/matmul.ts';
import { matvec } from './benchmarks/matvec.ts';
import { planning } from './benchmarks/planning.ts';
import { scale } from './benchmarks/scale.ts';
import { startUp } from './benchmarks/start-up.ts';
import { trainingStep } from './benchmarks/training.ts';

export const benchmarks: Readonly<Record<string, Benchmark>> = {
  'training-livr': trainingStep('livr', 'tiny model, LIVR stage 1: LoRA, bottleneck mask'),
  'training-sft-full': trainingStep('sft-full', 'tiny model, direct fine-tuning of every weight'),
  matmul,
  matvec,
  attention,
  elementwise,
  'start-up': startUp,
  answering,
  sampling,
  planning,
  scale,
};
