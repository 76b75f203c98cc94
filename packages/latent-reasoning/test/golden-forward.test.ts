/** LIVR's sequences, masks and forward passes against transformers with an explicit 4-D mask, and a PEFT adapter's logits. */
import {
  embedTokens,
  headForward,
  languageForward,
  languageLinearNames,
  parameterShapes,
  ropeIndex,
  visionForward,
} from '@mindseye/qwen-vl';
import { createReferenceDevice, evaluate, maskTensor, reshape, slice, splitMask, tensor } from '@mindseye/tensor-core';
import { describe, expect, test } from 'vitest';
import {
  type TrainingExample,
  batchHidden,
  batchOperands,
  checkAdapterFits,
  latentSequence,
  loraHook,
  maskTable,
  role,
} from '../src/index.js';
import { loadAdapter } from '../src/node.js';
import {
  adapterFolder,
  largestDifference,
  latentIds,
  readExamples,
  readJson,
  readSamples,
  readTensors,
  readTinyModel,
} from './support/golden.js';

const device = createReferenceDevice();
const tolerance = 1e-4;
const stages = [
  { stage: 1, mask: 'bottleneck' },
  { stage: 2, mask: 'causal' },
] as const;
const lengthOf = ({ sequence }: TrainingExample): number => sequence.inputIds.length;

describe('sequences', () => {
  test('roles in the goldens have the numbers of ours', async () => {
    expect((await readJson<{ roles: object }>('livr-forward.json')).roles).toEqual(role);
  });

  test.each([0, 1])('sample %i: latents, roles, labels and positions', async (index) => {
    const sample = (await readSamples())[index]!;
    const { config, processor } = await readTinyModel();
    const ids = sample.input_ids[0];
    const prompt = ids.filter((_, at) => sample.roles[at] === role.prompt || sample.roles[at] === role.image);
    const endOfTurnId = processor.tokenizer.requireId('<|im_end|>');
    const answer = ids.filter((_, at) => sample.roles[at] === role.answer);
    expect(answer.at(-1)).toBe(endOfTurnId);
    const made = latentSequence(
      { inputIds: prompt, grids: sample.image_grid_thw },
      { imageTokenId: config.imageTokenId, endOfTurnId, latentIds },
      answer.slice(0, -1),
    );
    expect([...made.inputIds]).toEqual(ids);
    expect([...made.roles]).toEqual(sample.roles);
    expect([...made.labels]).toEqual(sample.labels[0]);
    const { positions } = ropeIndex(made.inputIds, made.grids, config, config.visionConfig.spatialMergeSize);
    expect([...positions]).toEqual(sample.position_ids.flatMap(([row]) => row));
  });

  test.each([0, 1])('sample %i: the bottleneck mask, every pair of query and key', async (index) => {
    const { roles, allowed_stage_1: rows } = (await readSamples())[index]!;
    const { expression, operands } = splitMask(maskTable.bottleneck(tensor(Int32Array.from(roles), [1, roles.length])));
    const allowed = await maskTensor(expression, operands, roles.length, roles.length).data(device);
    const actual = rows.map((_, query) =>
      Array.from(allowed.subarray(query * rows.length, (query + 1) * rows.length)).join(''),
    );
    expect(actual).toEqual(rows);
  });
});

describe.each(stages)('stage $stage', ({ stage, mask }) => {
  test.each([0, 1])('sample %i: hidden states and logits of the base model', async (index) => {
    const { context, config, processor } = await readTinyModel();
    const example = (await readExamples(processor))[index]!;
    const expected = await readTensors('livr-forward.safetensors');
    const { sequence, roles, images } = batchOperands(config, [example], 1);
    const length = lengthOf(example);
    expect(sequence.inputIds.shape[1]! % 8).toBe(0);
    const { tokens } = visionForward(context, images[0]!.pixelValues, images[0]!.operands);
    const rows = reshape(tokens, [-1, config.textConfig.hiddenSize]);
    const inputsEmbeds = embedTokens(context, sequence.inputIds, {
      rows,
      where: sequence.isVisual,
      index: sequence.visualIndex,
    });
    const { layers, hidden } = languageForward(context, {
      inputsEmbeds,
      cos: sequence.cos,
      sin: sequence.sin,
      mask: maskTable[mask](roles),
    });
    const logits = headForward(context, slice(hidden, 1, example.sequence.roles.indexOf(role.latent), length));
    const values = { 'layers.0': slice(layers[0]!, 1, 0, length), norm: slice(hidden, 1, 0, length), logits };
    await evaluate(values, { device });
    for (const [name, value] of Object.entries(values)) {
      const key = `${index}.stage${stage}.${name}`;
      expect(value.shape, key).toEqual([...expected.info(key).shape]);
      expect(largestDifference(await value.data(device), await expected.readFloat32(key)), key).toBeLessThan(tolerance);
    }
  });

  test('logits with the PEFT adapter, both samples in one padded batch', async () => {
    const { context, config, processor } = await readTinyModel();
    const examples = await readExamples(processor);
    const expected = await readTensors('adapter-logits.safetensors');
    const adapter = await loadAdapter(adapterFolder);
    expect(adapter.config).toMatchObject({ rank: 4, alpha: 8, dropout: 0 });
    expect(adapter.config.targetModules).toContain(languageLinearNames.join('|'));
    expect(adapter.tokenRows!.ids).toEqual(latentIds);
    checkAdapterFits(adapter, parameterShapes(config));
    const adapted = {
      ...context,
      linearHook: loraHook(adapter.lora, adapter.config),
      tokenRows: { firstId: latentIds[0], rows: adapter.tokenRows!.rows, head: 'tied' },
    } as const;
    const hidden = batchHidden(adapted, batchOperands(config, examples, 1), mask);
    for (const [i, example] of examples.entries()) {
      const last = slice(slice(hidden, 0, i, i + 1), 1, lengthOf(example) - 4, lengthOf(example));
      const logits = await headForward(adapted, last).data(device);
      expect(
        largestDifference(logits, await expected.readFloat32(`${i}.stage${stage}.logits`)),
        `sample ${i}`,
      ).toBeLessThan(tolerance);
    }
  });
});
