/** What the masks do to a whole model: gradients and hidden states that the image may and may not reach. */
import { type ModelContext, Qwen2_5_VL } from '@mindseye/qwen-vl';
import { type Device, type Tensor, createReferenceDevice, grad, slice, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BatchOperands,
  type MaskName,
  type TrainingExample,
  answerLoss,
  batchHidden,
  batchOperands,
  role,
} from '../src/index.js';
import { microConfig, microExample, microImage, microWeights } from './support/micro.js';

const engines = [
  { engine: 'reference', create: (): Device => createReferenceDevice() },
  { engine: 'wasm', create: (): Device => createWasmDevice() },
];
const hidden = microConfig.textConfig.hiddenSize;
const microContext = (): ModelContext => ({ config: microConfig, weights: microWeights() });

async function encode(context: ModelContext, { images }: TrainingExample, device: Device): Promise<Float32Array> {
  return (await (await new Qwen2_5_VL(context, device).encodeImages(images))!.data(device)) as Float32Array;
}

/** The same question about other pixels. */
const other = (example: TrainingExample): TrainingExample => ({
  ...example,
  images: example.images.map(({ grid }, i) => microImage(`other ${i}`, grid)),
});

describe.each(engines)('on the $engine device', ({ create }) => {
  const layouts = fc.record({
    index: fc.nat(5),
    grids: fc.array(fc.constantFrom([1, 2, 2] as const, [1, 2, 4] as const, [1, 4, 4] as const), {
      minLength: 1,
      maxLength: 2,
    }),
  });
  const exampleOf = ({
    index,
    grids,
  }: {
    index: number;
    grids: readonly (readonly [number, number, number])[];
  }): TrainingExample =>
    microExample(
      index,
      undefined,
      grids.map((grid, i) => microImage(`image ${index} ${i}`, grid)),
    );

  async function visualGradient(example: TrainingExample, mask: MaskName): Promise<readonly number[]> {
    const device = create();
    const context = microContext();
    const features = await encode(context, example, device);
    const batch = batchOperands(microConfig, [example], 2, [features]);
    const gradient = grad((visual: Tensor) =>
      answerLoss(context, { ...batch, features: visual } satisfies BatchOperands, mask),
    )(tensor(features, [features.length / hidden, hidden]));
    return Array.from(await gradient.data(device));
  }

  test('the answer has no gradient in the image when latents are cut off, and has one otherwise', async () => {
    await fc.assert(
      fc.asyncProperty(layouts, async (layout) => {
        const example = exampleOf(layout);
        // Exactly: not one bit of any element.
        expect((await visualGradient(example, 'severed')).every((value) => value === 0)).toBe(true);
        for (const mask of ['bottleneck', 'causal'] as const) {
          const gradient = await visualGradient(example, mask);
          const tokens = Array.from({ length: gradient.length / hidden }, (_, row) =>
            gradient.slice(row * hidden, (row + 1) * hidden),
          );
          // Every visual token has its say.
          for (const token of tokens) expect(Math.hypot(...token)).toBeGreaterThan(0);
        }
      }),
      { numRuns: 4, seed: 5 },
    );
  });

  test('nor has it one through the bottleneck of a sequence without latents', async () => {
    expect((await visualGradient(microExample(3, []), 'bottleneck')).every((value) => value === 0)).toBe(true);
    expect((await visualGradient(microExample(3, []), 'causal')).every((value) => value === 0)).toBe(false);
  });

  test('the loss moves with the pixels unless latents are cut off', async () => {
    const device = create();
    const context = microContext();
    const example = microExample(1);
    const lossOf = async (asked: TrainingExample, mask: MaskName): Promise<number> =>
      answerLoss(context, batchOperands(microConfig, [asked], 1, [await encode(context, asked, device)]), mask).item(
        device,
      );
    expect(await lossOf(example, 'severed')).toBe(await lossOf(other(example), 'severed'));
    for (const mask of ['bottleneck', 'causal'] as const)
      expect(await lossOf(example, mask)).not.toBe(await lossOf(other(example), mask));
  });

  /** For each position, whether its final hidden state changed with the pixels. */
  async function changed(example: TrainingExample, mask: MaskName): Promise<boolean[]> {
    const device = create();
    const context = microContext();
    const states = async (asked: TrainingExample): Promise<readonly number[]> => {
      const all = batchHidden(
        context,
        batchOperands(microConfig, [asked], 1, [await encode(context, asked, device)]),
        mask,
      );
      return Array.from(await slice(all, 1, 0, asked.sequence.inputIds.length).data(device));
    };
    const [one, two] = [await states(example), await states(other(example))];
    return Array.from(example.sequence.inputIds, (_, at) =>
      one.slice(at * hidden, (at + 1) * hidden).some((value, i) => !Object.is(value, two[at * hidden + i])),
    );
  }

  test('in stage 1 no prompt token before the latents changes with the pixels, those after may', async () => {
    await fc.assert(
      fc.asyncProperty(layouts, async (layout) => {
        const example = exampleOf(layout);
        const { roles } = example.sequence;
        const firstLatent = roles.indexOf(role.latent);
        const differs = await changed(example, 'bottleneck');
        differs.forEach((difference, at) =>
          expect(difference, `position ${at}, role ${roles[at]}`).toBe(roles[at] === role.image || at >= firstLatent),
        );
      }),
      { numRuns: 4, seed: 6 },
    );
  });

  test('in stage 2 everything from the image on changes', async () => {
    const example = microExample(2);
    const firstVisual = example.sequence.roles.indexOf(role.image);
    expect(await changed(example, 'causal')).toEqual(Array.from(example.sequence.roles, (_, at) => at >= firstVisual));
  });

  test('cut off, nothing but the image itself changes', async () => {
    const example = microExample(2);
    expect(await changed(example, 'severed')).toEqual(
      Array.from(example.sequence.roles, (each) => each === role.image),
    );
  });

  test('a row of a batch is what it is alone, whatever is padded or stands beside it', async () => {
    const device = create();
    const context = microContext();
    const examples = [microExample(0), microExample(4, undefined, [microImage('wide', [1, 4, 8])]), microExample(2)];
    const features = await Promise.all(examples.map((example) => encode(context, example, device)));
    for (const mask of ['bottleneck', 'causal'] as const) {
      const together = batchHidden(context, batchOperands(microConfig, examples, 1, features), mask);
      for (const [i, example] of examples.entries()) {
        const length = example.sequence.inputIds.length;
        const alone = await slice(
          batchHidden(context, batchOperands(microConfig, [example], 1, [features[i]!]), mask),
          1,
          0,
          length,
        ).data(device);
        const row = await slice(slice(together, 0, i, i + 1), 1, 0, length).data(device);
        alone.forEach((value: number, at: number) => expect(Math.abs(value - row[at]!)).toBeLessThan(1e-4));
      }
    }
  });
});
