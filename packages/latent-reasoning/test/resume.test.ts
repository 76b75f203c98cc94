/** A run that was stopped, saved as safetensors and read back goes on to the last bit. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type Device,
  SafetensorsReader,
  bytesSource,
  createReferenceDevice,
  safetensorsBytes,
} from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Method,
  type RunIdentity,
  type StepEvent,
  Trainer,
  type TrainerOptions,
  type TrainingState,
  checkpointEntries,
  initializeTrainables,
  restoreCheckpoint,
  sft,
} from '../src/index.js';
import { loadCheckpoint, saveCheckpoint } from '../src/node.js';
import { microMethod, microSet, microSetup } from './support/micro.js';
import { fingerprint, runSteps, startTrainer } from './support/runs.js';

const identity: RunIdentity = {
  method: 'livr',
  seed: 3,
  examples: 6,
  batchSize: 4,
  learningRate: 1e-2,
  stages: 'bottleneck 2, causal 1',
};
const optionsOf = (device: Device, method: Method = microMethod): TrainerOptions => ({
  method,
  setup: microSetup(method),
  data: microSet(identity.examples, method.latentTokens > 0 ? undefined : []),
  device,
  seed: identity.seed,
  microBatchSize: 3,
});

/** A state through bytes and back, for a run in fresh memory. */
async function throughBytes(state: TrainingState, from: Device, options: TrainerOptions): Promise<TrainingState> {
  const { entries, metadata } = await checkpointEntries(state, identity, from);
  const source = await SafetensorsReader.open(bytesSource(await safetensorsBytes(entries, metadata)), 'checkpoint');
  return restoreCheckpoint(
    source,
    source.metadata,
    await initializeTrainables(options.setup, options.seed),
    identity,
    'checkpoint',
  );
}

async function uninterrupted(create: () => Device, method?: Method): Promise<unknown> {
  const device = create();
  const trainer = await startTrainer(optionsOf(device, method));
  return fingerprint(await runSteps(trainer), trainer.state, device);
}

/** The same run stopped after each of the given numbers of steps, each time on a device of its own. */
async function interrupted(create: () => Device, stops: readonly number[], method?: Method): Promise<unknown> {
  let device = create();
  let trainer = await startTrainer(optionsOf(device, method));
  const events: StepEvent[] = [];
  for (const steps of [...stops, Number.POSITIVE_INFINITY]) {
    events.push(...(await runSteps(trainer, steps)));
    if (steps === Number.POSITIVE_INFINITY) break;
    const options = optionsOf(create(), method);
    trainer = new Trainer(options, await throughBytes(trainer.state, device, options));
    device = options.device;
  }
  return fingerprint(events, trainer.state, device);
}

describe.each([
  { engine: 'reference', create: () => createReferenceDevice() },
  { engine: 'wasm', create: () => createWasmDevice() },
])('on the $engine device', ({ create }) => {
  let whole: unknown;
  beforeAll(async () => {
    whole = await uninterrupted(create);
  });

  // Steps 1 and 3 are inside an epoch, 2 ends an epoch, 4 ends stage 1, 5 is inside stage 2, 6 is the end.
  test.each([0, 1, 2, 3, 4, 5, 6])('stopped after %i of 6 steps', async (steps) => {
    expect(await interrupted(create, [steps])).toEqual(whole);
  });
});

test('stopped any number of times, anywhere', async () => {
  const whole = await uninterrupted(createWasmDevice);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }), async (stops) => {
      expect(await interrupted(createWasmDevice, stops)).toEqual(whole);
    }),
    { numRuns: 6, seed: 1 },
  );
});

test('full training resumes too', async () => {
  const method: Method = {
    ...sft,
    trains: 'full',
    stages: [{ name: 'causal', mask: 'causal', epochs: 2 }],
    batchSize: 4,
    learningRate: 1e-3,
  };
  expect(await interrupted(createWasmDevice, [1, 2], method)).toEqual(await uninterrupted(createWasmDevice, method));
});

describe('checkpoint files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'mindseye-checkpoint-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const saved = async (name: string): Promise<{ file: string; options: TrainerOptions; state: TrainingState }> => {
    const device = createReferenceDevice();
    const options = optionsOf(device);
    const trainer = await startTrainer(options);
    await runSteps(trainer, 3);
    const file = path.join(folder, name);
    await saveCheckpoint(file, trainer.state, identity, device);
    return { file, options, state: trainer.state };
  };

  test('a file holds the whole state, and nothing is left beside it', async () => {
    const { file, options, state } = await saved('run.safetensors');
    const restored = await loadCheckpoint(file, await initializeTrainables(options.setup, 1), identity);
    expect(restored.progress).toEqual({ stage: 0, step: 3 });
    expect(await fingerprint([], restored, options.device)).toEqual(await fingerprint([], state, options.device));
    expect(await readdir(folder)).toEqual(['run.safetensors']);
  });

  test('the names do not depend on the order of keys', async () => {
    const { options, state } = await saved('order.safetensors');
    const { weights, lora, rows } = await initializeTrainables(options.setup, 1);
    const backwards = {
      rows,
      lora: Object.fromEntries(
        Object.entries(lora)
          .toReversed()
          .map(([layer, { a, b }]) => [layer, { b, a }]),
      ),
      weights,
    };
    const restored = await loadCheckpoint(path.join(folder, 'order.safetensors'), backwards, identity);
    const layer = 'model.language_model.layers.1.mlp.down_proj';
    expect(await restored.trainables.lora[layer]!.b.data(options.device)).toEqual(
      await state.trainables.lora[layer]!.b.data(options.device),
    );
    expect(await restored.optimizer.secondMoment.rows!.data(options.device)).toEqual(
      await state.optimizer.secondMoment.rows!.data(options.device),
    );
  });

  test('another run, another file and a damaged one are refused in one line', async () => {
    const { file, options, state } = await saved('refused.safetensors');
    const like = await initializeTrainables(options.setup, 1);
    const refused = async (promise: Promise<unknown>, message: RegExp): Promise<void> => {
      const error = await promise.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(Error);
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).not.toContain('\n');
    };
    await refused(
      loadCheckpoint(file, like, { ...identity, seed: 4 }),
      /refused\.safetensors was written by another run .*use the same options/,
    );
    await refused(loadCheckpoint(path.join(folder, 'absent.safetensors'), like, identity), /absent\.safetensors/);
    const garbage = path.join(folder, 'garbage.safetensors');
    await writeFile(garbage, 'not safetensors at all');
    await refused(loadCheckpoint(garbage, like, identity), /garbage\.safetensors/);

    const { entries, metadata } = await checkpointEntries(state, identity, options.device);
    const reopened = async (kept: typeof entries, notes: Record<string, string>): Promise<unknown> => {
      const source = await SafetensorsReader.open(bytesSource(await safetensorsBytes(kept, notes)), 'c');
      return restoreCheckpoint(source, source.metadata, like, identity, 'run/checkpoint');
    };
    await refused(reopened(entries, {}), /^run\/checkpoint is not a training checkpoint/);
    await refused(
      reopened(entries.slice(1), metadata),
      /^run\/checkpoint: trainables\/lora\/.* is missing or has another shape/,
    );
    await refused(
      reopened(entries, { ...metadata, step: 'many' }),
      /^run\/checkpoint: stage 0, step many is no place in a run/,
    );
    await refused(reopened(entries, { ...metadata, stage: '-1' }), /^run\/checkpoint: stage -1/);
  });
});
