import { createReferenceDevice, evaluate, mask, tensor } from '@mindseye/tensor-core';
import { describe, expect, test } from 'vitest';
import { embedTokens, headForward, languageForward } from '../../src/model/language.js';
import { Qwen2_5_VL } from '../../src/model/qwen2-5-vl.js';
import { type GridThw, ropeIndex } from '../../src/model/rope-index.js';
import { sequenceOperands } from '../../src/model/sequence.js';
import { visionForward, visionOperands } from '../../src/model/vision.js';
import { visionLayout } from '../../src/model/window-index.js';
import { type GoldenCase, cases, largestDifference, models, readJson, readModel, readTensors } from './golden-model.js';

const device = createReferenceDevice();
const tolerance = 1e-4;

const patchesOf = ([frames, rows, columns]: GridThw): number => frames * rows * columns;

describe.each(models)('%s against transformers', (model) => {
  test.each(cases)('%s', async (name) => {
    const golden = await readJson<GoldenCase>(`cases/${model}.${name}.json`);
    const expected = await readTensors(`cases/${model}.${name}.safetensors`);
    const context = await readModel(model);
    const { config } = context;
    const grids = golden.image_grid_thw ?? [];
    const ids = golden.input_ids[0]!;
    const near = async (
      label: string,
      actual: { data(device: typeof actualDevice): Promise<ArrayLike<number>> },
    ): Promise<void> => {
      expect(largestDifference(await actual.data(device), await expected.readFloat32(label)), label).toBeLessThan(
        tolerance,
      );
    };
    const actualDevice = device;

    const index = ropeIndex(ids, grids, config, config.visionConfig.spatialMergeSize);
    expect([...index.positions]).toEqual(golden.position_ids.flatMap((axis) => axis[0]!));
    expect(index.delta).toBe(golden.rope_delta);

    const images: { pixelValues: Float32Array; grid: GridThw }[] = [];
    if (grids.length > 0) {
      const pixels = await expected.readFloat32('pixel_values');
      const width = pixels.length / grids.reduce((sum, grid) => sum + patchesOf(grid), 0);
      let start = 0;
      for (const grid of grids)
        images.push({ grid, pixelValues: pixels.slice(start * width, (start += patchesOf(grid)) * width) });
    }
    const vision = images.map(({ grid, pixelValues }) =>
      visionForward(
        context,
        tensor(pixelValues, [1, patchesOf(grid), pixelValues.length / patchesOf(grid)]),
        visionOperands(config.visionConfig, grid, 1),
      ),
    );
    const joined = async (
      pick: (outputs: (typeof vision)[number]) => (typeof vision)[number]['tokens'],
    ): Promise<number[]> => {
      const parts: number[] = [];
      for (const outputs of vision) parts.push(...(await pick(outputs).data(device)));
      return parts;
    };
    if (images.length > 0) {
      expect(
        largestDifference(await joined((v) => v.patchEmbed), await expected.readFloat32('vision.patch_embed')),
      ).toBeLessThan(tolerance);
      for (let block = 0; block < config.visionConfig.depth; block++) {
        expect(
          largestDifference(
            await joined((v) => v.blocks[block]!),
            await expected.readFloat32(`vision.blocks.${block}`),
          ),
          `vision block ${block}`,
        ).toBeLessThan(tolerance);
      }
      expect(
        largestDifference(await joined((v) => v.tokens), await expected.readFloat32('vision.merger')),
      ).toBeLessThan(tolerance);
      let unit = 0;
      const windowIndex = grids.flatMap((grid) => {
        const layout = visionLayout(config.visionConfig, grid);
        const shifted = [...layout.windowIndex].map((at) => at + unit);
        unit += layout.windowIndex.length;
        return shifted;
      });
      expect(windowIndex).toEqual(golden.window_index);
    }

    const operands = sequenceOperands(config, [{ inputIds: ids, grids }]);
    const qwen = new Qwen2_5_VL(context, device);
    const visualTokens = await qwen.encodeImages(images);
    const inputsEmbeds = embedTokens(
      context,
      operands.inputIds,
      visualTokens && { rows: visualTokens, where: operands.isVisual, index: operands.visualIndex },
    );
    const language = languageForward(context, {
      inputsEmbeds,
      cos: operands.cos,
      sin: operands.sin,
      mask: mask.causal(),
    });
    const logits = headForward(context, language.hidden);
    await evaluate([inputsEmbeds, ...language.layers, language.hidden, logits], { device });
    await near('language.inputs_embeds', inputsEmbeds);
    // transformers records the last layer's output only after the final norm.
    for (let layer = 0; layer < config.textConfig.numHiddenLayers; layer++)
      await near(`language.layers.${layer}`, language.layers[layer]!);
    await near('language.norm', language.hidden);
    await near('logits', logits);

    const generated: number[] = [];
    for await (const id of qwen.generate({
      row: { inputIds: ids },
      images,
      maxNewTokens: golden.generated_ids.length,
      stopIds: [],
    }))
      generated.push(id);
    expect(generated).toEqual(golden.generated_ids);
  });
});
