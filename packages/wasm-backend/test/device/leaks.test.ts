/** Long loops hold what their first steps held: the device and its memory to the byte, the process within its slack. */
import { collectGarbage } from '@mindseye/tensor-core/node';
import { type LoopReport, decodingLoop, trainingLoop } from '@mindseye/tensor-core/testing';
import { beforeAll, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { boundedMemory } from './support.js';

/** Code and feedback of the engine itself still grow a little between two looks. */
const slackBytes = 4 * 2 ** 20;

/** Runs a loop on a device of its own; `total` is what its memory has grown to after the first tenth and at the end. */
async function measured(
  loop: typeof trainingLoop,
  steps: number,
): Promise<LoopReport & { readonly total: readonly number[] }> {
  const memory = boundedMemory(2 ** 28);
  const total: number[] = [];
  const report = await loop(createWasmDevice({ memory }), {
    steps,
    async measure() {
      total.push(memory.buffer.byteLength);
      // What is reachable: the collector runs for the two looks only, not during the loop.
      await collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },
  });
  return { ...report, total };
}

function expectFlat({ deviceBytes, measured: [early, late], total }: Awaited<ReturnType<typeof measured>>): void {
  expect(deviceBytes[1]).toBe(deviceBytes[0]);
  expect(total[1]).toBe(total[0]);
  expect(late - early).toBeLessThan(slackBytes);
}

/** Until the heap has its working size and all code is compiled, the process grows without a leak. */
beforeAll(async () => {
  await trainingLoop(createWasmDevice(), { steps: 400 });
});

test('1,000 training steps with donated state', async () => {
  const report = await measured(trainingLoop, 1000);
  expectFlat(report);
  expect(report.last).toBeLessThan(0.2);
});

test('2,000 decoding steps with a donated cache', async () => {
  const report = await measured(decodingLoop, 2000);
  expectFlat(report);
  expect(report.last).toBeGreaterThanOrEqual(0);
});
