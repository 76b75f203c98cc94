/**
 * Adapters as PEFT writes them, with patterns, whole modules and trained tokens: what is in them, logits with the adapter beside
 * the weights and merged into them, and back into the files of PEFT.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ModelContext, loadWeights, parameterShapes } from '@mindseye/qwen-vl';
import {
  type Tensor,
  SafetensorsReader,
  bytesSource,
  createReferenceDevice,
  flatten,
  safetensorsBytes,
} from '@mindseye/tensor-core';
import { openCheckpointFolder } from '@mindseye/tensor-core/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AdapterReport,
  type PeftAdapter,
  type TrainingExample,
  checkAdapterFits,
  mergeAdapter,
  mergeCheckpoint,
  withAdapter,
} from '../src/index.js';
import { loadAdapter, saveAdapter } from '../src/node.js';
import {
  goldenFolder,
  largestDifference,
  lastLogits,
  modelFolder,
  readJson,
  readModel,
  readTensors,
  readTinyModel,
} from './support/golden.js';
import { sftExamples } from './support/sft.js';

const device = createReferenceDevice();
const tolerance = 1e-4;
const folderOf = (name: string): string => path.join(goldenFolder, 'adapters', name);

interface AdaptersGolden {
  readonly models: Readonly<Record<string, string>>;
  readonly names: Readonly<Record<string, readonly string[]>>;
}

const { models, names } = await readJson<AdaptersGolden>('adapters-logits.json');
const expected = await readTensors('adapters-logits.safetensors');
let examples: readonly TrainingExample[];
let folder: string;
beforeAll(async () => {
  const { config, processor } = await readTinyModel();
  examples = (await sftExamples(processor, config.imageTokenId)).slice(0, 2);
  folder = await mkdtemp(path.join(tmpdir(), 'mindseye-adapters-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function compareLogits(name: string, context: ModelContext): Promise<void> {
  for (const [i, example] of examples.entries()) {
    const logits = await lastLogits(context, example, 2).data(device);
    const reference = await expected.readFloat32(`${name}.${i}.logits`);
    expect(largestDifference(logits, reference), `conversation ${i}`).toBeLessThan(tolerance);
  }
}

async function contentOf(adapter: PeftAdapter): Promise<unknown> {
  const values = await Promise.all(flatten(adapter).map(async (leaf: Tensor) => [leaf.shape, await leaf.data(device)]));
  return {
    adapter: JSON.parse(JSON.stringify(adapter, (_key, value: unknown) => (ArrayBuffer.isView(value) ? 0 : value))),
    values,
  };
}

describe.each(Object.entries(models))('%s on %s', (name, model) => {
  test('every tensor has a place, and every target a tensor', async () => {
    const { config } = await readModel(model);
    const report = checkAdapterFits(await loadAdapter(folderOf(name)), parameterShapes(config));
    expect(report).toEqual({
      matched: names[name]!.length,
      unmatched: [],
      untargeted: [],
      untouched: [],
    } satisfies AdapterReport);
  });

  test('logits with the adapter merged, in memory and as a checkpoint', async () => {
    const adapter = await loadAdapter(folderOf(name));
    const { context, config } = await readModel(model);
    await compareLogits(name, await mergeAdapter(context, adapter, device));

    const source = await openCheckpointFolder(path.join(modelFolder, '..', model));
    const merged = mergeCheckpoint(source, config, adapter, device);
    const bytes = await safetensorsBytes(merged.entries);
    await source.close();
    const reader = await SafetensorsReader.open(bytesSource(bytes), 'merged');
    const { weights } = await loadWeights(reader, merged.config);
    await compareLogits(name, { config: merged.config, weights });
    expect(merged.config.tieWordEmbeddings).toBe(model === 'tiny-tied' && name !== 'saved-table');
    const stored = source.names();
    expect(reader.names().filter((each) => !stored.includes(each))).toEqual(
      name === 'saved-table' ? ['lm_head.weight'] : [],
    );
  });

  test('goes through us unchanged, fields that we do not know included', async () => {
    const theirs = await loadAdapter(folderOf(name));
    const settings = { ...theirs.settings, field_of_tomorrow: { deep: [1, null] } };
    await saveAdapter(folder, { ...theirs, settings }, model, device);
    const again = await loadAdapter(folder);
    expect(again.settings).toEqual(settings);
    const { settings: _own, ...rest } = again;
    const { settings: _theirs, ...theirRest } = theirs;
    expect(await contentOf(rest)).toEqual(await contentOf(theirRest));
    const written = await SafetensorsReader.open(
      bytesSource(await readFile(path.join(folder, 'adapter_model.safetensors'))),
      'written',
    );
    expect(written.names().toSorted()).toEqual(names[name]);
  });

  test('the old layout is read as the same adapter', async () => {
    const theirs = await loadAdapter(folderOf(name));
    await saveAdapter(folder, theirs, model, device, { layout: 'old' });
    const old = await loadAdapter(folder);
    expect(old.layout).toBe('old');
    expect(Object.keys(old.lora).toSorted()).toEqual(Object.keys(theirs.lora).toSorted());
    const { context } = await readModel(model);
    await compareLogits(name, await mergeAdapter(context, old, device));
  });
});

test.each(Object.keys(models))('logits with %s beside the weights', async (name) => {
  const { context } = await readModel(models[name]!);
  await compareLogits(name, withAdapter(context, await loadAdapter(folderOf(name))));
});
