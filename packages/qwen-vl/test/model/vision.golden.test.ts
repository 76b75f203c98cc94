/** The processor and the vision tower against transformers: pixel values, every block, visual tokens, windows. */
import { type Tensor, createReferenceDevice, evaluate, tensor } from '@mindseye/tensor-core';
import { describe, expect, test } from 'vitest';
import { visionForward, visionOperands } from '../../src/model/vision.js';
import { visionLayout } from '../../src/model/window-index.js';
import { type SingleManifest, differenceFrom, readGolden, singleCases, visionItems } from './golden-case.js';
import { models, readModel } from './golden-model.js';

const device = createReferenceDevice();
const tolerance = 1e-4;

describe('the cases', () => {
  test('are at least twenty, over all models', () => {
    expect(new Set(singleCases.map(([, name]) => name)).size).toBeGreaterThanOrEqual(20);
    expect(new Set(singleCases.map(([model]) => model))).toEqual(new Set(models));
  });
});

const withPictures = singleCases.filter(
  ([model, name]) => readGolden(`${model}.${name}`).manifest.rows.flat().length > 0,
);

describe.each(withPictures)('%s, %s', (model, name) => {
  const golden = readGolden<SingleManifest>(`${model}.${name}`);
  const { manifest, tensors } = golden;

  test('windows', async () => {
    const { config } = await readModel(model);
    let unit = 0;
    const windowIndex: number[] = [];
    const ends = [0];
    for (const { grid } of manifest.rows[0]!) {
      const layout = visionLayout(config.visionConfig, grid);
      windowIndex.push(...[...layout.windowIndex].map((at) => at + unit));
      unit += layout.windowIndex.length;
      layout.windowOf.forEach((window, place) => {
        if (window !== layout.windowOf[place - 1]) ends.push(ends.at(-1)!);
        ends[ends.length - 1]!++;
      });
    }
    expect(windowIndex).toEqual(manifest.window_index);
    expect(ends).toEqual(manifest.cu_window_seqlens);
  });

  test('hidden states', async () => {
    const context = await readModel(model);
    const { visionConfig } = context.config;
    const items = await visionItems(golden);
    // As in the model: all images, then all videos.
    const kinds = manifest.rows[0]!.map(({ kind }) => kind);
    const order = [...items.keys()].toSorted((a, b) => kinds[a]!.localeCompare(kinds[b]!) || a - b);
    const outputs = order.map((index) => {
      const { grid, pixelValues } = items[index]!;
      const patches = grid[0] * grid[1] * grid[2];
      return visionForward(
        context,
        tensor(pixelValues, [1, patches, pixelValues.length / patches]),
        visionOperands(visionConfig, grid, 1),
      );
    });
    await evaluate(outputs, { device });
    const expectNear = async (label: string, parts: readonly Tensor[]): Promise<void> => {
      if (!tensors.has(label)) return;
      const all: number[] = [];
      for (const part of parts) all.push(...(await part.data(device)));
      expect(differenceFrom(golden, label, all), label).toBeLessThan(tolerance);
    };
    await expectNear(
      'vision.patch_embed',
      outputs.map(({ patchEmbed }) => patchEmbed),
    );
    for (let block = 0; block < visionConfig.depth; block++)
      await expectNear(
        `vision.blocks.${block}`,
        outputs.map(({ blocks }) => blocks[block]!),
      );
    await expectNear(
      'vision.merger',
      outputs.map(({ tokens }) => tokens),
    );
  });
});
