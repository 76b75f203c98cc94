/** Every benchmark by name: its subjects, the baseline first, and how its table is written. */
import { engineNames } from './engines.ts';
import { peerNames } from './peers/products.ts';
import type { SubjectSpec } from './process/subject.ts';
import type { SubjectResult } from './rounds.ts';
import { fullScale, quickScale } from './scale/sizes.ts';
import { gigaflop, matmulShapes } from './subjects/matmul-shapes.ts';
import { type BenchMethod, benchMethods } from './tiny-model.ts';

export interface Effort {
  readonly quick: boolean;
}

export interface Benchmark {
  /** One line for people. */
  readonly summary: string;
  readonly rounds: (effort: Effort) => number;
  readonly subjects: (effort: Effort) => readonly SubjectSpec[];
  /** How a metric is shown: its unit, and a figure more telling than the time, if there is one. */
  readonly show: (metric: string, median: number) => string;
}

const moduleOf = (name: string): URL => new URL(`subjects/${name}.ts`, import.meta.url);

/** The reference loops are an oracle, slower by tens of times, so they get fewer repetitions. */
const repetitions = (engine: string, count: number): number => (engine === 'reference' ? 1 : count);

const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const milliseconds = (value: number): string => `${figure(value)} ms`;

function trainingStep(method: BenchMethod, summary: string): Benchmark {
  return {
    summary,
    rounds: ({ quick }) => (quick ? 1 : 5),
    subjects: ({ quick }) =>
      engineNames
        .filter((engine) => !quick || engine !== 'reference')
        .map((engine) => ({
          name: engine,
          module: moduleOf('training'),
          options: {
            engine,
            method,
            stepsPerSample: repetitions(engine, quick ? 1 : 10),
            growthSteps: quick || engine === 'reference' ? 0 : 200,
          },
        })),
    show: (_metric, median) => milliseconds(median),
  };
}

/** A pair of times; the second is better read as a rate. */
const showAnswering: Benchmark['show'] = (metric, median) =>
  metric === 'ms per token' ? `${figure(1000 / median)} tokens/s` : milliseconds(median);

const answering: Benchmark = {
  summary: 'tiny model, one question about an image: time to the first token (vision and prompt), then decoding',
  rounds: ({ quick }) => (quick ? 1 : 7),
  subjects: ({ quick }) =>
    engineNames.map((engine) => ({
      name: engine,
      module: moduleOf('answering'),
      options: { engine, tokens: repetitions(engine, quick ? 4 : 32), samples: null },
    })),
  show: showAnswering,
};

/** How many answers are drawn from one prompt; the first is what the others are compared with. */
const sampleCounts = [1, 4, 8] as const;

const sampling: Benchmark = {
  summary: 'tiny model, several answers drawn from one prompt, which is held once: tokens of all of them per second',
  rounds: ({ quick }) => (quick ? 1 : 7),
  subjects: ({ quick }) =>
    sampleCounts.map((samples) => ({
      name: samples === 1 ? '1 sample' : `${samples} samples`,
      module: moduleOf('answering'),
      options: { engine: 'wasm relaxed', tokens: quick ? 4 : 32, samples },
    })),
  show: showAnswering,
};

const matmul: Benchmark = {
  summary: 'f32 matrix products, one thread, through each library’s public interface',
  rounds: ({ quick }) => (quick ? 1 : 7),
  subjects: ({ quick }) =>
    [...engineNames, ...peerNames].map((engine) => ({
      name: engine,
      module: moduleOf('matmul'),
      options: { engine, milliseconds: quick ? 5 : 150 },
    })),
  show: (metric, median) => {
    const shape = matmulShapes.find(({ name }) => name === metric)!;
    return `${figure((gigaflop(shape) / median) * 1000)} GFLOP/s`;
  },
};

/** What the plan compiler is asked to stay below, by metric. */
const planningGoals: Readonly<Record<string, number>> = {
  'decode plan, first in a process: ms': 400,
  'decode plan, known structure: ms': 50,
  'training arena, all kept: × minimum': 1.3,
  'training arena, checkpointed: × minimum': 1.3,
};

const planning: Benchmark = {
  summary:
    'plans of Qwen2.5-VL-3B in its true shape: tracing, building, replay, and memory against the arithmetic minimum',
  rounds: ({ quick }) => (quick ? 1 : 7),
  subjects: ({ quick }) => [
    {
      name: 'wasm relaxed',
      module: moduleOf('planning'),
      options: { engine: 'wasm relaxed', repetitions: quick ? 2 : 50 },
    },
  ],
  show: (metric, median) => {
    if (metric === 'trace: µs per node') return `${figure(1e6 / median)} nodes/s`;
    const goal = planningGoals[metric];
    return `${figure(median)}${goal === undefined ? '' : ` (goal: below ${goal})`}`;
  },
};

/** Larger than this machine's memory for one device may be: then the reason is the result. */
const scale: Benchmark = {
  summary:
    'random weights in the true shape of Qwen2.5-VL-3B, made on the device: an image of 672 × 896, a prompt of 1,024 tokens, decoding',
  rounds: () => 1,
  subjects: ({ quick }) => {
    const module = moduleOf('scale');
    const options = quick ? quickScale : fullScale;
    const mixed = { name: 'wasm: int4, int8 tables, bf16 vision', module, options };
    const bf16 = { decoder: 'bf16', table: 'bf16', vision: 'bf16' } as const;
    return quick ? [mixed] : [mixed, { name: 'wasm: bf16', module, options: { ...options, storage: bf16 } }];
  },
  show: (metric, median) => `${figure(median)} ${/: (\S+)/.exec(metric)![1]}`,
};

export const benchmarks: Readonly<Record<string, Benchmark>> = {
  'training-livr': trainingStep(
    'livr',
    `tiny model, LIVR stage 1: LoRA, bottleneck mask, batch ${benchMethods.livr.batchSize}`,
  ),
  'training-sft-full': trainingStep(
    'sft-full',
    `tiny model, direct fine-tuning of every weight, batch ${benchMethods['sft-full'].batchSize}`,
  ),
  matmul,
  answering,
  sampling,
  planning,
  scale,
};

/** A line of the table per subject and metric. */
export function tableRows({ show }: Benchmark, { name, metrics }: SubjectResult): string[][] {
  return Object.entries(metrics).map(([metric, { median, timesBaseline }]) => [
    metric,
    name,
    show(metric, median),
    `${timesBaseline.toFixed(2)}×`,
  ]);
}
