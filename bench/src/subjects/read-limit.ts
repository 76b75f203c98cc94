/** What one-row products would take if they only read their matrices: a sum over as many bytes, which take turns alike. */
import { readBandwidth } from '../limits/read-bandwidth.ts';
import { type ReadThreads, readThreads } from '../limits/read-threads.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { median } from '../rounds.ts';
import { type MatvecStorageName, matricesOf, matvecStorageNames, matvecStorages } from './matvec-sizes.ts';

interface LimitOptions {
  readonly [key: string]: Json;
  readonly threads: number;
  readonly bytes: number;
}

const MEBIBYTE = 2 ** 20;
/** How many bytes are read in turn, to show which of them a cache holds. */
const SWEEP = [1, 16, 64, 256, 1024].map((size) => size * MEBIBYTE);

export const open: OpenSubject<LimitOptions> = async ({ threads, bytes }) => {
  const limits = new Map<MatvecStorageName, ReadThreads>();
  for (const name of matvecStorageNames)
    limits.set(name, await readThreads(matricesOf(name, bytes) * matvecStorages[name].bytes, threads));
  const rates: number[] = [];
  return {
    async sample() {
      const times: Record<string, number> = {};
      for (const [name, limit] of limits) {
        times[name] = (await limit.pass()) / matricesOf(name, bytes);
        rates.push(matvecStorages[name].bytes / times[name] / 1e6);
      }
      return times;
    },
    details: () =>
      Promise.resolve({
        threads,
        gigabytesPerSecond: median(rates),
        oneThreadByMebibytesInTurn: threads === 1 && bytes > 0 ? sweep() : null,
      }),
  };
};

function sweep(): Record<string, number> {
  const bandwidth = readBandwidth(SWEEP.at(-1)!);
  const rate = (bytes: number): number => {
    const passes = Math.max(3, Math.ceil((256 * MEBIBYTE) / bytes));
    return bytes / median(Array.from({ length: passes }, () => bandwidth.read(0, bytes))) / 1e6;
  };
  return Object.fromEntries(SWEEP.map((bytes) => [bytes / MEBIBYTE, Math.round(rate(bytes) * 10) / 10]));
}
