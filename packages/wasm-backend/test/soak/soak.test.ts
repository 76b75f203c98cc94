/** The soak of `pnpm soak`, for some seconds, with the same demands. */
import { expect, test } from 'vitest';
import { type SoakReport, growthOf, soak } from './soak.ts';

test('plans, training, decoding and threads, over and over, hold what they held after the warm-up', async () => {
  const seed = Date.now() % 2 ** 31;
  const report = await soak({ seconds: 8, seed });
  expect(growthOf(report), `seed ${seed}`).toEqual([]);
  expect(report.late.rounds).toBeGreaterThan(report.early.rounds);
});

test('growth of each kind is told', () => {
  const look = {
    seconds: 1,
    rounds: 1,
    rootBytes: 100,
    arenaBytes: 100,
    wasmBytes: 65_536,
    heapBytes: 2 ** 20,
    residentBytes: 2 ** 26,
    osThreads: 12,
    threadStarts: 1,
  };
  const report: SoakReport = { early: look, late: look, changed: [] };
  expect(growthOf(report)).toEqual([]);
  const grown = (change: Partial<typeof look>): string[] => growthOf({ ...report, late: { ...look, ...change } });
  expect(grown({ rootBytes: 104 })).toEqual(['rootBytes grew from 100 to 104']);
  expect(grown({ wasmBytes: 2 ** 23 })).toHaveLength(1);
  expect(grown({ heapBytes: 2 ** 24 })).toHaveLength(1);
  expect(grown({ residentBytes: 2 ** 27 })).toHaveLength(1);
  expect(grown({ osThreads: 15 })).toHaveLength(1);
  expect(grown({ threadStarts: 2 })).toHaveLength(2);
  expect(growthOf({ ...report, changed: ['plan 3'] })).toEqual(['plan 3 gave other bits']);
});
