/** Long loops hold what they held after their first steps: on the GPU by account, and in the process as the system sees it. */
import { type LoopReport, decodingLoop, trainingLoop } from '@mindseye/tensor-core/testing';
import { expect, test } from 'vitest';
import { openDevice } from '../src/index.js';

/** Growth of the process that is no leak: code that is compiled, and garbage the engine has had no reason to collect. */
const slackBytes = 48 * 2 ** 20;

const measure = (): number => process.memoryUsage().rss;

function expectFlat({ deviceBytes, measured }: LoopReport): void {
  expect(deviceBytes[1]).toBe(deviceBytes[0]);
  expect(measured[1] - measured[0]).toBeLessThan(slackBytes);
}

test('1,000 training steps', async () => {
  const device = await openDevice({ profile: 'fast' });
  const t0 = performance.now();
  const report = await trainingLoop(device, { steps: 1000, measure });
  process.stderr.write(JSON.stringify(report) + (performance.now()-t0) + '\n');
  expectFlat(report);
  expect(report.last).toBeLessThan(0.5);
});

test('2,000 decoding steps', async () => {
  const device = await openDevice({ profile: 'fast' });
  const t0 = performance.now();
  const report = await decodingLoop(device, { steps: 2000, measure });
  process.stderr.write(JSON.stringify(report) + (performance.now()-t0)+ '\n');
  expectFlat(report);
});
test('1,000 training steps, checked', async () => {
  const device = await openDevice();
  const t0 = performance.now();
  const report = await trainingLoop(device, { steps: 1000, measure });
  process.stderr.write(JSON.stringify(report) + (performance.now()-t0) + '\n');
  expectFlat(report);
});

test('2,000 decoding steps, checked', async () => {
  const device = await openDevice();
  const t0 = performance.now();
  const report = await decodingLoop(device, { steps: 2000, measure });
  process.stderr.write(JSON.stringify(report) + (performance.now()-t0)+ '\n');
  expectFlat(report);
});
