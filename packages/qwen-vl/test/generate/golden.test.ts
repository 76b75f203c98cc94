/** What the decoder generates, against transformers: every case of every model, batches, turns, pieces, penalties. */
import { createWasmDevice } from '@mindseye/wasm-backend';
import { describe, expect, test } from 'vitest';
import { type Prompt, type PromptsRequest, PromptCache, Qwen2_5_VL } from '../../src/index.js';
import {
  type Golden,
  type GoldenItem,
  type GoldenManifest,
  type SingleManifest,
  readGolden,
  sequenceRow,
  singleCases,
  visionItems,
} from '../model/golden-case.js';
import { readModel } from '../model/golden-model.js';

const device = createWasmDevice();
const models = new Map<string, Promise<Qwen2_5_VL>>();

function modelOf(name: string): Promise<Qwen2_5_VL> {
  const model = models.get(name) ?? readModel(name).then((context) => new Qwen2_5_VL(context, device));
  models.set(name, model);
  return model;
}

async function promptsOf(golden: Golden<GoldenManifest>): Promise<Prompt[]> {
  const items = await visionItems(golden);
  let next = 0;
  return golden.manifest.rows.map((row, index) => {
    const { grids: _grids, ...prompt } = sequenceRow(golden.manifest, index);
    return { ...prompt, images: row.map(() => items[next++]!) };
  });
}

async function generate(name: string, request: PromptsRequest): Promise<(readonly number[])[]> {
  const sequences = await (await modelOf(name)).generateBatch({ stopIds: [], ...request });
  return sequences.map(({ ids }) => ids);
}

const answered = singleCases.filter(([model, name]) => 'generated_ids' in readGolden(`${model}.${name}`).manifest);

describe('single prompts', () => {
  test.each(answered)('%s, %s: greedy, in pieces, and sampled twice alike', async (model, name) => {
    const golden = readGolden<SingleManifest>(`${model}.${name}`);
    const expected = golden.manifest.generated_ids;
    const request = { prompts: await promptsOf(golden), maxNewTokens: expected.length };
    expect(await generate(model, request)).toEqual([expected]);
    expect(await generate(model, { ...request, prefillChunk: 7, samples: 2 })).toEqual([expected, expected]);
  });

  const penalised = answered.filter(
    ([model, name]) => readGolden<SingleManifest>(`${model}.${name}`).manifest.penalised_ids !== undefined,
  );
  test.each(penalised)('%s, %s: under a repetition penalty', async (model, name) => {
    const golden = readGolden<SingleManifest>(`${model}.${name}`);
    const { penalised_ids, repetition_penalty: repetitionPenalty } = golden.manifest;
    const request = { prompts: await promptsOf(golden), maxNewTokens: penalised_ids.length };
    expect(await generate(model, { ...request, sampling: { repetitionPenalty } })).toEqual([penalised_ids]);
  });
});

test.each([
  ['tiny-tied', 'batch-of-two'],
  ['tiny-untied', 'batch-of-two'],
  ['tiny-wide-heads', 'batch-of-three'],
  ['tiny-deep', 'batch-of-three'],
])('%s, %s', async (model, name) => {
  const golden = readGolden<GoldenManifest & { readonly generated_ids: readonly (readonly number[])[] }>(
    `${model}.${name}`,
  );
  const { generated_ids: expected } = golden.manifest;
  const request = { prompts: await promptsOf(golden), maxNewTokens: expected[0]!.length };
  expect(await generate(model, request)).toEqual(expected);
});

test.each(['tiny-tied', 'tiny-wide-heads'])('%s: two turns on one prompt cache', async (model) => {
  interface Turn {
    readonly new_ids: readonly number[];
    readonly items: readonly GoldenItem[];
    readonly generated_ids: readonly number[];
  }
  const golden = readGolden<GoldenManifest & { readonly turns: readonly Turn[] }>(`${model}.two-turns`);
  const cache = new PromptCache();
  const ids: number[] = [];
  const items: GoldenItem[] = [];
  for (const turn of golden.manifest.turns) {
    const held = cache.length;
    ids.push(...turn.new_ids);
    items.push(...turn.items);
    const prompts = [{ inputIds: ids.slice(), images: await visionItems(golden, items) }];
    const [answer] = await generate(model, { prompts, maxNewTokens: turn.generated_ids.length, cache });
    expect(answer).toEqual(turn.generated_ids);
    expect(cache.length).toBeGreaterThan(held);
    ids.push(...turn.generated_ids);
  }
});
