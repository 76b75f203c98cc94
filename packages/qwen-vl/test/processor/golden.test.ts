/** Pixels against Pillow and transformers: equal to the last bit, without tolerance. */
import { describe, expect, test } from 'vitest';
import { resolvePreprocessorConfig } from '../../src/config/preprocessor-config.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import { toRgb, type RasterImage } from '../../src/processor/raster.js';
import { resizeBicubic } from '../../src/processor/resize-bicubic.js';
import { smartResize } from '../../src/processor/smart-resize.js';
import { float32, readGoldenJson, readGoldenTensors, tensorOf, type GoldenTensor } from '../support/golden.js';

function raster(tensor: GoldenTensor): RasterImage {
  const [height = 0, width = 0, channels = 1] = tensor.shape;
  return { data: tensor.bytes, width, height, channels: channels as 1 | 3 | 4 };
}

describe('smartResize', () => {
  const { rows, refused } = readGoldenJson<{ rows: number[][]; refused: number[][] }>('images/smart-resize.json');

  test.each(rows)(
    '%i x %i, factor %i, %i to %i pixels',
    (h = 0, w = 0, factor = 0, minPixels = 0, maxPixels = 0, height, width) => {
      expect(smartResize(h, w, { factor, minPixels, maxPixels })).toEqual({ height, width });
    },
  );

  test.each(refused)('%i x %i is refused', (height = 0, width = 0, factor = 0, minPixels = 0, maxPixels = 0) => {
    expect(() => smartResize(height, width, { factor, minPixels, maxPixels })).toThrow(/aspect ratio/);
  });
});

describe('resizeBicubic', () => {
  const { entries } = readGoldenJson<{ entries: { index: number; name: string }[] }>('images/resize.json');
  const tensors = readGoldenTensors('images/resize.safetensors');

  test.each(entries)('$name', ({ index, name }) => {
    const stored = raster(tensorOf(tensors, `${index}.source`));
    const source = name.includes('converted') ? toRgb(stored) : stored;
    const expected = tensorOf(tensors, `${index}.result`);
    const [height = 0, width = 0] = expected.shape;
    expect(resizeBicubic(source, { height, width }).data).toEqual(expected.bytes);
  });
});

describe('ImageProcessor', () => {
  const { entries } = readGoldenJson<{ entries: { index: number; name: string; image_grid_thw: number[][] }[] }>(
    'images/processor.json',
  );
  const tensors = readGoldenTensors('images/processor.safetensors');

  test.each(entries)('$name', ({ index, image_grid_thw, ...config }) => {
    const processor = new ImageProcessor(resolvePreprocessorConfig(config));
    const { pixelValues, imageGridThw } = processor.process([raster(tensorOf(tensors, `${index}.source`))]);
    expect(imageGridThw).toEqual(image_grid_thw);
    expect(pixelValues).toEqual(float32(tensorOf(tensors, `${index}.pixel_values`)));
  });
});

describe('pixel values of the model cases', () => {
  const cases = ['partial-windows', 'two-images', 'rounded-size', 'image-first-and-last', 'minimal-image'];

  test.each(['tiny-tied', 'tiny-untied'].flatMap((model) => cases.map((name) => [model, name] as const)))(
    '%s, %s',
    (model, name) => {
      const config = resolvePreprocessorConfig(readGoldenJson(`models/${model}/preprocessor_config.json`));
      const tensors = readGoldenTensors(`cases/${model}.${name}.safetensors`);
      const images = [...tensors.keys()].filter((key) => key.startsWith('images.')).sort();
      const grids = readGoldenJson<{ image_grid_thw: number[][] }>(`cases/${model}.${name}.json`).image_grid_thw;
      const { pixelValues, imageGridThw } = new ImageProcessor(config).process(
        images.map((key) => raster(tensorOf(tensors, key))),
      );
      expect(imageGridThw).toEqual(grids);
      expect(pixelValues).toEqual(float32(tensorOf(tensors, 'pixel_values')));
    },
  );
});
