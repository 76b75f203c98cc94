/** PEFT files: our own round trip, the layouts that exist in the wild, and everything that must be refused. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { InvalidInputError, parameterShapes } from '@mindseye/qwen-vl';
import { SafetensorsReader, type SafetensorsEntry, bytesSource, safetensorsBytes, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type PeftAdapter,
  checkAdapterFits,
  initializeLora,
  livrLora,
  peftConfig,
  peftEntries,
  readPeftAdapter,
} from '../src/index.js';
import { loadAdapter, saveAdapter } from '../src/node.js';
import { adapterFolder, readJson } from './support/golden.js';
import { microConfig, microLatents } from './support/micro.js';

const device = createWasmDevice();
const shapes = parameterShapes(microConfig);
const config = { ...livrLora, rank: 2, alpha: 8 };
const rows = tensor(
  Float32Array.from({ length: 32 }, (_, i) => i / 32),
  [2, 16],
);
const adapter: PeftAdapter = {
  config,
  lora: initializeLora(shapes, config, 1),
  tokenRows: { ids: microLatents, rows },
};
const settings = peftConfig(adapter, 'tiny');

async function sourceOf(entries: readonly SafetensorsEntry[]): Promise<SafetensorsReader> {
  return SafetensorsReader.open(bytesSource(await safetensorsBytes(entries)), 'adapter_model.safetensors');
}
const entriesOf = (): Promise<SafetensorsEntry[]> => peftEntries(adapter, device);

/** Everything of an adapter as plain values. */
async function contentOf({ config: own, lora, tokenRows }: PeftAdapter): Promise<unknown> {
  const pairs = await Promise.all(
    Object.entries(lora).map(
      async ([name, { a, b }]) => [name, a.shape, await a.data(device), b.shape, await b.data(device)] as const,
    ),
  );
  return {
    ...own,
    lora: pairs.toSorted(([one], [two]) => one.localeCompare(two)),
    ids: tokenRows?.ids,
    rows: await tokenRows?.rows.data(device),
  };
}

async function refused(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InvalidInputError);
  const text = (error as Error).message;
  expect(text).toMatch(message);
  expect(text).not.toContain('\n');
  expect(text.length).toBeLessThan(400);
}

describe('round trip', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'mindseye-adapter-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('what we write we read, bit for bit', async () => {
    const target = path.join(folder, 'ours');
    await mkdir(target);
    await saveAdapter(target, adapter, 'tiny', device);
    expect((await readdir(target)).toSorted()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    expect(await contentOf(await loadAdapter(target))).toEqual(await contentOf(adapter));
  });

  test('an adapter without latents', async () => {
    const { tokenRows: _rows, ...plain } = adapter;
    const read = await readPeftAdapter(peftConfig(plain, 'tiny'), await sourceOf(await peftEntries(plain, device)));
    expect(read.tokenRows).toBeUndefined();
    expect(await contentOf(read)).toEqual(await contentOf(plain));
  });

  test("PEFT's own adapter goes through us unchanged", async () => {
    const theirs = await loadAdapter(adapterFolder);
    const again = await readPeftAdapter(
      peftConfig(theirs, 'tiny-tied'),
      await sourceOf(await peftEntries(theirs, device)),
    );
    expect(await contentOf(again)).toEqual(await contentOf(theirs));
    const names = (await peftEntries(theirs, device)).map(({ name }) => name).toSorted();
    expect(names).toEqual((await readJson<{ parameters: string[] }>('adapter-logits.json')).parameters.toSorted());
  });

  test('our settings are those PEFT wrote for the same adapter', async () => {
    const theirs = await readJson<Record<string, unknown>>('adapter/adapter_config.json');
    const ours = peftConfig(await loadAdapter(adapterFolder), 'tiny-tied');
    const { target_modules: ourPattern, ...ourRest } = ours;
    expect(theirs).toMatchObject(ourRest);
    const [one, two] = [ourPattern, theirs['target_modules']].map((pattern) => new RegExp(`^(?:${String(pattern)})$`));
    for (const name of [...shapes.keys()].map((each) => each.replace(/\.weight$/, '')))
      expect(one!.test(name), name).toBe(two!.test(name));
  });

  test('the old key layout, and keys with the name of the adapter', async () => {
    const renamed = (await entriesOf()).map((entry) => ({
      ...entry,
      name: entry.name.replace('model.language_model.', 'model.').replace('.weight', '.default.weight'),
    }));
    expect(renamed[1]!.name).toMatch(/^base_model\.model\.model\.layers\.0\..*\.lora_A\.default\.weight$/);
    expect(await contentOf(await readPeftAdapter(settings, await sourceOf(renamed)))).toEqual(await contentOf(adapter));
  });
});

describe('refused', () => {
  test.each([
    [{ peft_type: 'IA3' }, /peft_type/],
    [{ use_dora: true }, /use_dora: .*only plain LoRA adapters are supported/],
    [{ use_rslora: 'yes' }, /use_rslora/],
    [{ target_modules: 7 }, /target_modules/],
    [{ rank_pattern: { q_proj: 0 } }, /rank_pattern/],
    [{ alpha_pattern: { q_proj: '4' } }, /alpha_pattern/],
    [{ layers_to_transform: 'all' }, /layers_to_transform/],
    [{ fan_in_fan_out: true }, /fan_in_fan_out/],
    [{ lora_bias: true }, /lora_bias/],
    [{ bias: 'all' }, /bias/],
    [{ modules_to_save: [1] }, /modules_to_save/],
    [{ alora_invocation_tokens: [1, 2] }, /alora_invocation_tokens/],
    [{ layer_replication: [[0, 1]] }, /layer_replication/],
    [{ target_parameters: ['mlp.experts'] }, /target_parameters/],
    [{ init_lora_weights: 'pissa' }, /init_lora_weights/],
    [{ r: 0 }, /\br\b/],
    [{ r: 1e9 }, /\br\b/],
    [{ r: '2' }, /\br\b/],
    [{ lora_alpha: null }, /lora_alpha/],
    [{ lora_dropout: 1 }, /lora_dropout/],
    [{ trainable_token_indices: 'all' }, /trainable_token_indices/],
  ])('the setting %j', async (changed, message) => {
    await refused(
      readPeftAdapter({ ...settings, ...changed }, await sourceOf(await entriesOf()), 'run/adapter'),
      new RegExp(`^run/adapter: adapter_config.json: .*${message.source}`),
    );
  });

  test.each([[null], [[]], ['text'], [{}]])('%j in place of settings', async (json) => {
    await refused(
      readPeftAdapter(json, await sourceOf(await entriesOf()), 'run/adapter'),
      /^run\/adapter: adapter_config\.json: /,
    );
  });

  const cases: readonly (readonly [string, (entries: SafetensorsEntry[]) => SafetensorsEntry[], RegExp])[] = [
    [
      'half a pair',
      (entries) => entries.filter(({ name }) => !name.endsWith('layers.0.mlp.up_proj.lora_B.weight')),
      /layers\.0\.mlp\.up_proj needs lora_A \[2, in\] and lora_B \[out, 2\]; the file is incomplete/,
    ],
    [
      'another rank',
      (entries) =>
        entries.map((entry) =>
          entry.name.endsWith('lora_A.weight')
            ? { ...entry, shape: [entry.shape[0]! / 2, entry.shape[1]! * 2] }
            : entry,
        ),
      /needs lora_A \[2, in\]/,
    ],
    [
      'more than two axes',
      (entries) =>
        entries.map((entry) =>
          entry.name.endsWith('lora_A.weight') ? { ...entry, shape: [...entry.shape, 1] } : entry,
        ),
      /needs lora_A \[2, in\]/,
    ],
    [
      'another kind of tensor',
      (entries) => [
        ...entries,
        { name: 'base_model.model.model.norm.weight', dtype: 'F32', shape: [1], data: new Float32Array(1) },
      ],
      /tensor base_model\.model\.model\.norm\.weight is not a LoRA matrix/,
    ],
    [
      'an adapted embedding',
      (entries) => [
        ...entries,
        {
          name: 'base_model.model.model.language_model.embed_tokens.lora_embedding_A',
          dtype: 'F32',
          shape: [2, 64],
          data: new Float32Array(128),
        },
      ],
      /tensor base_model\.model\.model\.language_model\.embed_tokens\.lora_embedding_A is not a LoRA matrix/,
    ],
    [
      'a layer twice, under its old and its new name',
      (entries) => [
        ...entries,
        { ...entries.at(-1)!, name: entries.at(-1)!.name.replace('model.language_model.', 'model.') },
      ],
      /two tensors are lora_B of model\.language_model\.layers\./,
    ],
    [
      'rows of the norm',
      (entries) => [
        ...entries,
        {
          name: 'base_model.model.norm.token_adapter.trainable_tokens_delta',
          dtype: 'F32',
          shape: [2, 16],
          data: new Float32Array(32),
        },
      ],
      /trains rows of \S*norm; only rows of embed_tokens/,
    ],
    [
      'rows that are missing',
      (entries) => entries.filter(({ name }) => !name.includes('token_adapter')),
      /trainable_token_indices \(2 ids\) and the trained rows \(0\) of \S+ do not fit/,
    ],
    ['nothing at all', () => [], /holds no LoRA matrix and no trained token row/],
  ];
  test.each(cases)('a file with %s', async (_name, change, message) => {
    await refused(
      readPeftAdapter(settings, await sourceOf(change(await entriesOf())), 'run/adapter'),
      new RegExp(`^run/adapter: .*${message.source}`),
    );
  });

  test.each([
    [{ embed_tokens: [60, 60] }, /must be as many, each id once/],
    [[60, 61, 62], /trainable_token_indices \(3 ids\) and the trained rows \(2\)/],
    [null, /trainable_token_indices \(0 ids\) and the trained rows \(2\)/],
    [{ embed_tokens: [-1, 60] }, /trainable_token_indices/],
  ])('token ids %j for two rows', async (ids, message) => {
    await refused(
      readPeftAdapter({ ...settings, trainable_token_indices: ids }, await sourceOf(await entriesOf())),
      message,
    );
  });

  test('an adapter of another model', async () => {
    const check = async (text: Partial<typeof microConfig.textConfig>): Promise<unknown> =>
      checkAdapterFits(
        adapter,
        parameterShapes({ ...microConfig, textConfig: { ...microConfig.textConfig, ...text } }),
        'run/adapter',
      );
    await check({});
    await refused(
      check({ numHiddenLayers: 1 }),
      /^run\/adapter: the model has no layer model\.language_model\.layers\.1\..*another model/,
    );
    await refused(
      check({ intermediateSize: 24 }),
      /^run\/adapter: .*mlp\.\w+ adapts a .* layer, the model's is .*another model/,
    );
    await refused(
      check({ vocabSize: 63 }),
      /^run\/adapter: its token rows \[2, 16\] for ids up to 63 do not fit the embedding table \[63, 16\]/,
    );
  });

  test('a folder with a missing or broken file', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'mindseye-adapter-'));
    try {
      const failing = async (name: string): Promise<string> =>
        loadAdapter(path.join(folder, name)).then(
          () => 'no error',
          (error: unknown) => (error as Error).message,
        );
      expect(await failing('absent')).toMatch(/absent.*adapter_model\.safetensors/);
      await saveAdapter(folder, adapter, 'tiny', device);
      await writeFile(path.join(folder, 'adapter_config.json'), '{"r": 2');
      expect(await failing('.')).toMatch(/adapter_config\.json is not JSON/);
      await rm(path.join(folder, 'adapter_config.json'));
      expect(await failing('.')).toMatch(/adapter_config\.json cannot be read: an adapter folder holds/);
      await writeFile(path.join(folder, 'adapter_model.safetensors'), new Uint8Array(20).fill(255));
      expect(await failing('.')).toMatch(/adapter_model\.safetensors/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
