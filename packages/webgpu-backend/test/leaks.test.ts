/**
 * Long loops hold what they held after their first steps: on the GPU by account, to the byte, and in the process as the
 * system sees it. Nobody asks for a collection.
 */
import { type LoopReport, decodingLoop, trainingLoop } from '@mindseye/tensor-core/testing';
import { beforeAll, expect, test } from 'vitest';
import { openDevice } from '../src/index.js';

/**
 * Growth of the process that is no leak: the engine lets its heap breathe between collections, and allocators keep pages.
 */
const slackBytes = 48 * 2 ** 20;

const measure = (): number => process.memoryUsage().rss;

function expectFlat({ deviceBytes, measured }: LoopReport): void {
  expect(deviceBytes[1]).toBe(deviceBytes[0]);
  expect(measured[1] - measured[0]).toBeLessThan(slackBytes);
}

/** Until the heap has its working size and all code is compiled, the process grows without a leak. */
beforeAll(async () => {
  await trainingLoop(await openDevice({ profile: 'fast' }), { steps: 400 });
}, 120_000);

test('1,000 training steps, state donated and written in place', async () => {
  const report = await trainingLoop(await openDevice({ profile: 'fast' }), { steps: 1000, measure });
  expectFlat(report);
  expect(report.last).toBeLessThan(0.1);
});

test('2,000 decoding steps, the cache donated and written in place', async () => {
  expectFlat(await decodingLoop(await openDevice({ profile: 'fast' }), { steps: 2000, measure }));
});

test('loops that keep their donors until each run is known to be good', async () => {
  expectFlat(await trainingLoop(await openDevice(), { steps: 200, measure }));
  expectFlat(await decodingLoop(await openDevice(), { steps: 400, measure }));
});
