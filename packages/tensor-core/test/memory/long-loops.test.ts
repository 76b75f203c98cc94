/** 1,000 training steps and 2,000 decoding steps hold what the first ones held. */
import { describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../src/index.js';
import { collectGarbage } from '../../src/node.js';
import { createArenaDevice, decodingLoop, trainingLoop } from '../../src/testing/index.js';

/** Code and feedback of the engine itself still grow a little between two looks. */
const slackBytes = 4 * 2 ** 20;

/** What is reachable: the collector runs for the two looks only, not during the loop. */
async function measure(): Promise<number> {
  await collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe.each([
  ['reference', createReferenceDevice],
  ['planned bytes', createArenaDevice],
] as const)('long loops on the %s device', (_name, create) => {
  it('train 1,000 steps in flat memory, and learn', async () => {
    const { deviceBytes, measured, last } = await trainingLoop(create(), { steps: 1000, measure });
    expect(deviceBytes[1]).toBe(deviceBytes[0]);
    expect(measured[1] - measured[0]).toBeLessThan(slackBytes);
    expect(last).toBeLessThan(0.2);
  });

  it('decode 2,000 tokens in flat memory', async () => {
    const { deviceBytes, measured, last } = await decodingLoop(create(), { steps: 2000, measure });
    expect(deviceBytes[1]).toBe(deviceBytes[0]);
    expect(measured[1] - measured[0]).toBeLessThan(slackBytes);
    expect(last).toBeGreaterThanOrEqual(0);
  });
});
