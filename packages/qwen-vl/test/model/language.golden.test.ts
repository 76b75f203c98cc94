/** The language model against transformers: positions, embeddings, every layer, logits, and greedy decoding over a cache. */
import { createReferenceDevice, evaluate, mask } from '@mindseye/tensor-core';
import { describe, expect, test } from 'vitest';
import { embedTokens, headForward, languageForward } from '../../src/model/language.js';
import { rowPositions, sequenceOperands } from '../../src/model/sequence.js';
import { decodeGreedily, encodeItems } from './cached-decoder.js';
import {
  type SingleManifest,
  differenceFrom,
  goldenPositions,
  readGolden,
  sequenceRow,
  singleCases,
  visionItems,
} from './golden-case.js';
import { readModel } from './golden-model.js';

const device = createReferenceDevice();
const tolerance = 1e-4;

describe.each(singleCases)('%s, %s', (model, name) => {
  const golden = readGolden<SingleManifest>(`${model}.${name}`);
  const { manifest, tensors } = golden;

  test('positions', async () => {
    const { config } = await readModel(model);
    const { positions, delta } = rowPositions(config, sequenceRow(manifest));
    expect([...positions]).toEqual(goldenPositions(manifest));
    expect(delta).toBe(manifest.rope_delta);
  });

  test('hidden states and greedy ids', async () => {
    const context = await readModel(model);
    const { tokens, featureStarts } = await encodeItems(context, device, await visionItems(golden));
    const row = { ...sequenceRow(manifest), featureStarts };
    const operands = sequenceOperands(context.config, [row]);
    const inputsEmbeds = embedTokens(
      context,
      operands.inputIds,
      tokens && { rows: tokens, where: operands.isVisual, index: operands.visualIndex },
    );
    const { cos, sin } = operands;
    const outputs = languageForward(context, { inputsEmbeds, cos, sin, mask: mask.causal() });
    const states = new Map([
      ['language.inputs_embeds', inputsEmbeds],
      ...outputs.layers.map((layer, index) => [`language.layers.${index}`, layer] as const),
      ['language.norm', outputs.hidden],
      ['logits', headForward(context, outputs.hidden)],
    ]);
    await evaluate([...states.values()], { device });
    for (const [label, state] of states) {
      if (tensors.has(label))
        expect(differenceFrom(golden, label, await state.data(device)), label).toBeLessThan(tolerance);
    }
    const { ids } = await decodeGreedily(context, device, [row], tokens, manifest.generated_ids.length);
    expect(ids).toEqual([manifest.generated_ids]);
  });
});

test('every case holds logits, and most of them hidden states', () => {
  const held = singleCases.map(([model, name]) => readGolden(`${model}.${name}`).tensors);
  expect(held.every((tensors) => tensors.has('logits'))).toBe(true);
  expect(held.filter((tensors) => tensors.has('language.layers.0')).length).toBeGreaterThan(30);
});
