/** Asking a latent model: its four conditions, and where its latents looked. */
import {
  type ModelContext,
  type RasterImage,
  type Processor,
  Qwen2_5_VL,
  embedTokens,
  headForward,
  imagePatches,
  languageForward,
  ropeIndex,
  sequenceOperands,
} from '@mindseye/qwen-vl';
import {
  type Device,
  add,
  createReferenceDevice,
  fillUniform,
  mask,
  mean,
  mul,
  reshape,
  seedFromString,
  slice,
  sum,
  tensor,
} from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type AnswerCondition,
  LatentModel,
  bottleneckTable,
  latentSequence,
  loraHook,
  maskTable,
  role,
} from '../src/index.js';
import { loadAdapter } from '../src/node.js';
import { adapterFolder, largestDifference, latentIds, readTinyModel } from './support/golden.js';

const conditions: readonly AnswerCondition[] = ['standard', 'no-latents', 'bottleneck', 'bottleneck-no-latents'];
const question = 'How many red circles are there in the image?';

function picture(name: string, width: number, height: number): RasterImage {
  const noise = fillUniform(new Float32Array(width * height * 3), seedFromString(name));
  return { width, height, channels: 3, data: Uint8Array.from(noise, (value) => Math.floor(value * 256)) };
}

interface Setting {
  readonly context: ModelContext;
  readonly processor: Processor;
  readonly device: Device;
  readonly model: LatentModel;
}

async function setUp(device: Device, ids: readonly number[] = latentIds): Promise<Setting> {
  const { context: base, processor } = await readTinyModel();
  const adapter = await loadAdapter(adapterFolder);
  const context: ModelContext = {
    ...base,
    linearHook: loraHook(adapter.lora, adapter.config),
    tokenRows: { firstId: latentIds[0], rows: adapter.tokenRows!.rows, head: 'tied' },
  };
  return { context, processor, device, model: new LatentModel({ context, processor, device, latentIds: ids }) };
}

/** The prompt with latents at the end of the user turn. */
function sequenceOf(
  { context, processor }: Setting,
  images: readonly RasterImage[],
  ids: readonly number[] = latentIds,
): ReturnType<typeof latentSequence> & { readonly positions: Int32Array } {
  const { inputIds, vision } = processor.ask(question, images, { addGenerationPrompt: true });
  const { config } = context;
  const sequence = latentSequence(
    { inputIds, grids: imagePatches(vision!).map(({ grid }) => grid) },
    { imageTokenId: config.imageTokenId, endOfTurnId: processor.tokenizer.requireId('<|im_end|>'), latentIds: ids },
  );
  return {
    ...sequence,
    positions: ropeIndex(sequence.inputIds, sequence.grids, config, config.visionConfig.spatialMergeSize).positions,
  };
}

describe('answers', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await setUp(createWasmDevice());
  });
  const [one, two] = [picture('one', 24, 24), picture('two', 24, 24)];

  test.each(conditions)('%s: runs, and says the same again', async (condition) => {
    const asked = { question, images: [one], condition, maxNewTokens: 5 };
    const answer = await setting.model.answer(asked);
    expect(typeof answer).toBe('string');
    expect(await setting.model.answer(asked)).toBe(answer);
  });

  test('no-latents is the plain model with every other token where it stood', async () => {
    const { context, processor, device, model } = setting;
    const { inputIds, roles, positions } = sequenceOf(setting, [one]);
    const kept = [...roles.keys()].filter((at) => roles[at] !== role.latent);
    const length = inputIds.length;
    const standardPositions = Int32Array.from(
      [0, 1, 2].flatMap((axis) => kept.map((at) => positions[axis * length + at]!)),
    );
    const plain = processor.ask(question, [one], { addGenerationPrompt: true });
    expect(kept.map((at) => inputIds[at])).toEqual([...plain.inputIds]);
    // The header after the latents keeps its distance from the question.
    const own = ropeIndex(
      plain.inputIds,
      plain.vision!.imageGridThw,
      context.config,
      context.config.visionConfig.spatialMergeSize,
    ).positions;
    expect(standardPositions.at(-1)).toBe(own.at(-1)! + latentIds.length);

    const ids: number[] = [];
    const qwen = new Qwen2_5_VL(context, device);
    for await (const id of qwen.generate({
      row: { inputIds: plain.inputIds, positions: standardPositions },
      images: imagePatches(plain.vision!),
      maxNewTokens: 8,
    }))
      ids.push(id);
    expect(ids.length).toBeGreaterThan(0);
    expect(await model.answer({ question, images: [one], condition: 'no-latents', maxNewTokens: 8 })).toBe(
      processor.tokenizer.decode(ids, { skipSpecialTokens: true }),
    );
  });

  test('standard is a forward pass over the whole sequence, token by token', async () => {
    const { context, processor, device, model } = setting;
    const sequence = sequenceOf(setting, [one]);
    const visual = await model.model.encodeImages(imagePatches(processor.ask(question, [one]).vision!));
    for (const [condition, bottleneck] of [
      ['standard', false],
      ['bottleneck', true],
    ] as const) {
      const ids = [...sequence.inputIds];
      const produced: number[] = [];
      for (let step = 0; step < 4; step++) {
        const { inputIds, isVisual, visualIndex, cos, sin } = sequenceOperands(context.config, [
          { inputIds: ids, grids: sequence.grids },
        ]);
        const roles = tensor(
          Int32Array.from(ids, (_, at) => sequence.roles[at] ?? role.answer),
          [1, ids.length],
        );
        const inputsEmbeds = embedTokens(context, inputIds, { rows: visual!, where: isVisual, index: visualIndex });
        const { hidden } = languageForward(context, {
          inputsEmbeds,
          cos,
          sin,
          mask: bottleneck ? mask.and(mask.causal(), mask.roles(roles, bottleneckTable)) : mask.causal(),
        });
        const logits = await headForward(context, slice(hidden, 1, -1)).data(device);
        const best = logits.findIndex((value: number) => value === Math.max(...logits));
        if (context.config.eosTokenIds.includes(best)) break;
        produced.push(best);
        ids.push(best);
      }
      expect(await model.answer({ question, images: [one], condition, maxNewTokens: 4 }), condition).toBe(
        processor.tokenizer.decode(produced, { skipSpecialTokens: true }),
      );
    }
  });

  test('with the bottleneck and without latents the image changes nothing', async () => {
    const images = [one, two, picture('three', 24, 24), { ...one, data: new Uint8Array(24 * 24 * 3) }];
    const answers = async (condition: AnswerCondition): Promise<Set<string>> => {
      const all = new Set<string>();
      for (const image of images)
        all.add(await setting.model.answer({ question, images: [image], condition, maxNewTokens: 12 }));
      return all;
    };
    expect((await answers('bottleneck-no-latents')).size).toBe(1);
    expect((await answers('bottleneck')).size).toBeGreaterThan(1);
  });

  test('with the bottleneck and without latents not one bit of the logits changes', async () => {
    const { context, processor, device, model } = setting;
    const logitsOf = async (image: RasterImage, ids: readonly number[]): Promise<number[]> => {
      const sequence = sequenceOf(setting, [image], ids);
      const visual = await model.model.encodeImages(imagePatches(processor.ask(question, [image]).vision!));
      const { inputIds, isVisual, visualIndex, cos, sin } = sequenceOperands(context.config, [sequence]);
      const inputsEmbeds = embedTokens(context, inputIds, { rows: visual!, where: isVisual, index: visualIndex });
      const roles = tensor(sequence.roles, [1, sequence.roles.length]);
      const { hidden } = languageForward(context, { inputsEmbeds, cos, sin, mask: maskTable.bottleneck(roles) });
      return Array.from(await headForward(context, slice(hidden, 1, -1)).data(device));
    };
    expect(await logitsOf(one, [])).toEqual(await logitsOf(two, []));
    expect(largestDifference(await logitsOf(one, latentIds), await logitsOf(two, latentIds))).toBeGreaterThan(1e-3);
  });

  test('a model without latents answers as the plain one', async () => {
    const plain = await setUp(createWasmDevice(), []);
    const { vision, inputIds } = plain.processor.ask(question, [one], { addGenerationPrompt: true });
    const ids: number[] = [];
    for await (const id of new Qwen2_5_VL(plain.context, plain.device).generate({
      row: { inputIds },
      images: imagePatches(vision!),
      maxNewTokens: 6,
    }))
      ids.push(id);
    const expected = plain.processor.tokenizer.decode(ids, { skipSpecialTokens: true });
    for (const condition of ['standard', 'no-latents'] as const)
      expect(await plain.model.answer({ question, images: [one], condition, maxNewTokens: 6 })).toBe(expected);
  });

  test('stops when the signal says so', async () => {
    await expect(setting.model.answer({ question, images: [one], signal: AbortSignal.abort() })).rejects.toThrow(
      /abort/i,
    );
  });
});

describe('attention maps', () => {
  /** The same average by tensor ops: over layers, heads and the given queries, renormalised over visual tokens. */
  async function expected(
    setting: Setting,
    images: readonly RasterImage[],
    queryRole: number | 'last',
    ids: readonly number[] = latentIds,
  ): Promise<Float32Array> {
    const { context, processor, device, model } = setting;
    const sequence = sequenceOf(setting, images, ids);
    const length = sequence.inputIds.length;
    const visual = await model.model.encodeImages(imagePatches(processor.ask(question, images).vision!));
    const { inputIds, isVisual, visualIndex, cos, sin } = sequenceOperands(context.config, [sequence]);
    const inputsEmbeds = embedTokens(context, inputIds, { rows: visual!, where: isVisual, index: visualIndex });
    const { attentions } = languageForward(context, {
      inputsEmbeds,
      cos,
      sin,
      mask: mask.causal(),
      outputAttentions: true,
    });
    const perLayer = attentions!.map((weights) => mean(reshape(weights, [-1, length, length]), 0));
    const isQuery = Float32Array.from(sequence.roles, (each, at) =>
      Number(queryRole === 'last' ? at === length - 1 : each === queryRole),
    );
    const received = await sum(
      mul(
        perLayer.reduce((a, b) => add(a, b)),
        reshape(tensor(isQuery), [length, 1]),
      ),
      0,
    ).data(device);
    const seen = Array.from(received).filter((_, at) => sequence.roles[at] === role.image);
    const total = seen.reduce((all, value) => all + value, 0);
    return Float32Array.from(seen, (value) => value / total);
  }
  test.each([
    { engine: 'reference', create: (): Device => createReferenceDevice() },
    { engine: 'wasm', create: (): Device => createWasmDevice() },
  ])('on the $engine device: of two images, together 1, as the attention weights say', async ({ create }) => {
    const setting = await setUp(create());
    const images = [picture('a', 24, 24), picture('b', 32, 16)];
    const maps = await setting.model.attentionMaps({ question, images });
    expect(maps.map(({ rows, columns }) => [rows, columns])).toEqual(
      setting.processor.ask(question, images).vision!.imageGridThw.map(([, height, width]) => [height / 2, width / 2]),
    );
    for (const { rows, columns, weights } of maps) {
      expect(weights.length).toBe(rows * columns);
      expect(weights.every((weight) => weight > 0)).toBe(true);
    }
    const all = maps.flatMap(({ weights }) => [...weights]);
    expect(all.reduce((total, weight) => total + weight, 0)).toBeCloseTo(1, 5);
    expect(largestDifference(all, await expected(setting, images, role.latent))).toBeLessThan(1e-6);
  });

  test('without latents: where the last token of the prompt looked', async () => {
    const setting = await setUp(createWasmDevice(), []);
    const images = [picture('a', 24, 24)];
    const [map] = await setting.model.attentionMaps({ question, images });
    expect(largestDifference(map!.weights, await expected(setting, images, 'last', []))).toBeLessThan(1e-6);
  });

  test('answer after maps and maps after answer, on one model', async () => {
    const setting = await setUp(createWasmDevice());
    const asked = { question, images: [picture('a', 24, 24)], maxNewTokens: 3 };
    const [answer, maps] = [await setting.model.answer(asked), await setting.model.attentionMaps(asked)];
    expect(await setting.model.answer(asked)).toBe(answer);
    expect(await setting.model.attentionMaps(asked)).toEqual(maps);
  });
});
