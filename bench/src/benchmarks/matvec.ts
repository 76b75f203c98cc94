/** Products of decoding, which read a matrix for one row. */
import { type Benchmark, figure, moduleOf, roundsOf } from '../benchmark.ts';
import { fastEngineNames } from '../engines.ts';
import { type MatvecStorageName, matvecStorages } from '../subjects/matvec-sizes.ts';

const LEAST_BYTES = 256 * 2 ** 20;
const LIMIT_THREADS = [1, 2];

export const readLimitName = (threads: number): string =>
  threads === 1 ? 'limit of reading' : `limit of reading, ${threads} threads`;

export const matvec: Benchmark = {
  summary: `y[1, 11008] = x[1, 2048] · Wᵀ, matrices taking turns over ${LEAST_BYTES / 2 ** 20} MiB or more`,
  rounds: roundsOf(7),
  subjects: ({ quick }) => {
    const bytes = quick ? 0 : LEAST_BYTES;
    return [
      ...fastEngineNames.map((engine) => ({
        name: engine,
        module: moduleOf('matvec'),
        options: { engine, bytes, milliseconds: quick ? 1 : 100 },
      })),
      ...LIMIT_THREADS.map((threads) => ({
        name: readLimitName(threads),
        module: moduleOf('read-limit'),
        options: { threads, bytes },
      })),
    ];
  },
  show: (metric, median) => {
    const { bytes } = matvecStorages[metric as MatvecStorageName];
    return `${figure(median)} ms, ${figure(bytes / median / 1e6)} GB/s`;
  },
};
