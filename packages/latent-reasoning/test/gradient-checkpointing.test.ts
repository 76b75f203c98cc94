/** Computing layers again changes the memory of a step, not one bit of what it learns. */
import { createReferenceDevice } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { expect, test } from 'vitest';
import { microMethod, microSet, microSetup } from './support/micro.js';
import { fingerprint, runSteps, startTrainer } from './support/runs.js';

test.each([
  ['reference', createReferenceDevice],
  ['wasm', createWasmDevice],
] as const)('on the %s device', async (_name, create) => {
  const run = async (gradientCheckpointing: boolean): Promise<unknown> => {
    const device = create();
    const setup = { ...microSetup(microMethod), gradientCheckpointing };
    const trainer = await startTrainer({ method: microMethod, setup, data: microSet(4), device, seed: 1 });
    const events = await runSteps(trainer, 3);
    return fingerprint(events, trainer.state, device);
  };
  expect(await run(true)).toEqual(await run(false));
});
