/** The true shape of a model that people use. */
import { availableParallelism } from 'node:os';
import { type Benchmark, figure, moduleOf } from '../benchmark.ts';
import { fullScale, quickScale } from '../scale/sizes.ts';

export const scaleNames = {
  mixed: 'wasm: int4, int8 tables, bf16 vision',
  limit: 'limit of reading the same weights',
} as const;

/** Read in turn to find the bandwidth: more than caches hold. */
const READ_BYTES = 2 ** 30;

/** Larger than this machine's memory for one device may be: then the reason is the result. */
export const scale: Benchmark = {
  summary:
    'random weights in the true shape of Qwen2.5-VL-3B, made on the device: an image of 672 × 896, a prompt of 1,024 tokens, decoding',
  rounds: () => 1,
  subjects: ({ quick }) => {
    const options = quick ? quickScale : fullScale;
    const limit = { ...options, threads: availableParallelism(), readBytes: quick ? 2 ** 20 : READ_BYTES };
    const subjects = [
      { name: scaleNames.mixed, module: moduleOf('scale'), options },
      { name: scaleNames.limit, module: moduleOf('decoding-limit'), options: limit },
    ];
    const bf16 = { decoder: 'bf16', table: 'bf16', vision: 'bf16' } as const;
    return quick
      ? subjects
      : [...subjects, { name: 'wasm: bf16', module: moduleOf('scale'), options: { ...fullScale, storage: bf16 } }];
  },
  show: (metric, median) => `${figure(median)} ${/: (\S+)/.exec(metric)![1]}`,
};
