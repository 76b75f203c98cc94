/** What elementwise ops would take if they only moved their arrays: a copy of as many bytes read and written, one core. */
import { copyBandwidth, copyMethods } from '../limits/copy-bandwidth.ts';
import { cacheEmptier } from '../limits/empty-caches.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { median } from '../rounds.ts';
import { ARRAY_BYTES, elementwiseOpNames, elementwiseOps, passes } from './elementwise-ops.ts';

interface LimitOptions {
  readonly [key: string]: Json;
  /** Copies by each method that one sample takes the median of; the faster method counts. */
  readonly repetitions: number;
  /** Read before each copy, as before each run of an op. */
  readonly emptyingBytes: number;
}

const gigabytesPerSecond = (traffic: number, time: number): number => Math.round(traffic / time / 1e5) / 10;

export const open: OpenSubject<LimitOptions> = ({ repetitions, emptyingBytes }) => {
  const traffics = [...new Set(elementwiseOpNames.map((op) => elementwiseOps[op].arrays * ARRAY_BYTES))];
  const limits = new Map(traffics.map((traffic) => [traffic, copyBandwidth(traffic)] as const));
  const empty = cacheEmptier(emptyingBytes);
  const rates: Record<string, number> = {};
  const fastest = (traffic: number, before: () => void): number => {
    const times = copyMethods.map((method) =>
      median(
        Array.from({ length: repetitions }, () => {
          before();
          return limits.get(traffic)!.copy(method, traffic);
        }),
      ),
    );
    return Math.min(...times);
  };
  return Promise.resolve({
    sample() {
      const times = new Map<number, number>();
      for (const traffic of traffics) {
        times.set(traffic, fastest(traffic, empty));
        rates[`GB/s read and written, ${traffic / 2 ** 20} MiB`] = gigabytesPerSecond(traffic, times.get(traffic)!);
        const again = fastest(traffic, () => {});
        rates[`GB/s read and written, ${traffic / 2 ** 20} MiB again and again`] = gigabytesPerSecond(traffic, again);
      }
      const floors = elementwiseOpNames.map(
        (op) => [passes.forward(op), times.get(elementwiseOps[op].arrays * ARRAY_BYTES)!] as const,
      );
      return Promise.resolve(Object.fromEntries(floors));
    },
    details: () => Promise.resolve(rates),
  });
};
