/**
 * Twenty steps of LoRA fine-tuning against PEFT, transformers and torch: labels, losses, norms, rates and the adapter; then
 * the adapter that the run saved against what PEFT computes with it.
 *
 * WRITE_GOLDENS=1 writes that adapter to test/golden/sft-adapter; run oracle/sft_adapter.py after it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createReferenceDevice, ignoredLabel } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { describe, expect, test } from 'vitest';
import { type PeftAdapter, type StepEvent, loraHook } from '../src/index.js';
import { loadAdapter, saveAdapter } from '../src/node.js';
import {
  distance,
  goldenFolder,
  largestDifference,
  lastLogits,
  peftNamed,
  readTensors,
  readTinyModel,
} from './support/golden.js';
import { runSteps } from './support/runs.js';
import { type RunRecord, readSftGolden, sftExamples, sftLora, sftTrainer } from './support/sft.js';

function compareRecords(events: readonly StepEvent[], expected: RunRecord): void {
  expect(events.length).toBe(20);
  expect(expected.loss.length).toBe(20);
  for (const [i, { loss, gradientNorm, learningRate }] of events.entries()) {
    expect(Math.abs(loss - expected.loss[i]!), `loss of step ${i + 1}`).toBeLessThan(1e-5);
    expect(Math.abs(gradientNorm / expected.grad_norm[i]! - 1), `norm of step ${i + 1}`).toBeLessThan(1e-5);
    expect(learningRate, `rate of step ${i + 1}`).toBeCloseTo(expected.lr[i]!, 12);
  }
}

test('labels are those of the official masking', async () => {
  const { config, processor } = await readTinyModel();
  const { conversations } = await readSftGolden();
  const examples = await sftExamples(processor, config.imageTokenId);
  for (const [i, { sequence }] of examples.entries()) {
    expect([...sequence.labels], `conversation ${i}`).toEqual(conversations[i]!.labels);
    expect(conversations[i]!.labels.some((label) => label !== ignoredLabel)).toBe(true);
  }
});

describe.each([
  { engine: 'reference', create: createReferenceDevice },
  { engine: 'wasm', create: createWasmDevice },
])('on the $engine device', ({ create }) => {
  test('a batch a step', async () => {
    const device = create();
    const golden = await readSftGolden();
    const trainer = await sftTrainer(await readTinyModel(), device);
    compareRecords(await runSteps(trainer), golden);
    const expected = await readTensors('sft-training.safetensors');
    const actual = await peftNamed(trainer.state.trainables, sftLora(golden), device);
    const names = expected.names().filter((name) => name.startsWith('final.'));
    expect(names.length).toBe(actual.size);
    for (const name of names) {
      const [own, reference] = [actual.get(name.slice('final.'.length))!, await expected.readFloat32(name)];
      const size = distance(reference, new Float32Array(reference.length));
      expect(distance(own, reference) / size, name).toBeLessThan(1e-4);
    }
  });

  test('micro-batches of one, each a mean of its own, as transformers averages them', async () => {
    const { micro_batch: expected } = await readSftGolden();
    const options = { microBatchSize: 1, lossMean: 'micro-batches' } as const;
    compareRecords(await runSteps(await sftTrainer(await readTinyModel(), create(), options)), expected);
  });
});

describe('the adapter that the run saves', () => {
  const committed = path.join(goldenFolder, 'sft-adapter');

  async function trainedAdapter(): Promise<PeftAdapter> {
    const trainer = await sftTrainer(await readTinyModel(), createReferenceDevice());
    await runSteps(trainer);
    return { config: sftLora(await readSftGolden()), lora: trainer.state.trainables.lora };
  }

  test('is the one that PEFT was given', async () => {
    const device = createReferenceDevice();
    const adapter = await trainedAdapter();
    const target = process.env['WRITE_GOLDENS'] ? committed : await mkdtemp(path.join(tmpdir(), 'mindseye-sft-'));
    await saveAdapter(target, adapter, 'tiny-tied', device);
    const files = [target, committed].map((folder) => path.join(folder, 'adapter_config.json'));
    const [settings, expectedSettings] = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    expect(JSON.parse(settings!)).toEqual(JSON.parse(expectedSettings!));
    const [saved, given] = await Promise.all([target, committed].map((folder) => loadAdapter(folder)));
    expect(Object.keys(saved!.lora)).toEqual(Object.keys(given!.lora));
    for (const [name, { a, b }] of Object.entries(given!.lora)) {
      for (const [own, reference] of [
        [saved!.lora[name]!.a, a],
        [saved!.lora[name]!.b, b],
      ] as const)
        expect(largestDifference(await own.data(), await reference.data()), name).toBeLessThan(1e-4);
    }
    if (target !== committed) await rm(target, { recursive: true });
  });

  test('gives the logits that PEFT computes with it', async () => {
    const device = createReferenceDevice();
    const { context, config, processor } = await readTinyModel();
    const expected = await readTensors('sft-adapter-logits.safetensors');
    const { lora, config: settings } = await loadAdapter(committed);
    const adapted = { ...context, linearHook: loraHook(lora, settings) };
    for (const [i, example] of (await sftExamples(processor, config.imageTokenId)).entries()) {
      const logits = await lastLogits(adapted, example, 2).data(device);
      const reference = await expected.readFloat32(`${i}.logits`);
      expect(largestDifference(logits, reference), `conversation ${i}`).toBeLessThan(1e-4);
    }
  });
});
