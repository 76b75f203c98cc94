/** Fifty random pictures and the ten sizes of the resize table against Pillow and transformers, to the last bit. */
import { expect, test } from 'vitest';
import { resolvePreprocessorConfig } from '../../src/config/preprocessor-config.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import { toRgb, type RasterImage } from '../../src/processor/raster.js';
import { resizeBicubic } from '../../src/processor/resize-bicubic.js';
import { formulaImage, sha256, type FormulaImage } from '../support/formula-image.js';
import { readGoldenJson } from '../support/golden.js';

interface Entry extends FormulaImage {
  readonly mode: 'L' | 'RGB' | 'RGBA';
  readonly budget: readonly [minPixels: number, maxPixels: number];
  readonly patch_size: number;
  readonly resized: readonly [height: number, width: number];
  readonly resized_sha256: string;
  readonly image_grid_thw?: readonly number[];
  readonly sha256?: string;
  readonly first?: readonly number[];
}

const CHANNELS = { L: 1, RGB: 3, RGBA: 4 } as const;
const { versions: _, ...entries } = readGoldenJson<Record<string, Entry>>('images/random.json');
const all = Object.values(entries);
/** The largest have no digest of their patches, which would take hundreds of megabytes. */
const patched = all.filter((entry) => entry.sha256 !== undefined);

const processorOf = ({ budget: [minPixels, maxPixels], patch_size }: Entry): ImageProcessor =>
  new ImageProcessor(resolvePreprocessorConfig({ patch_size, min_pixels: minPixels, max_pixels: maxPixels }));
const imageOf = (entry: Entry): RasterImage => formulaImage(entry, CHANNELS[entry.mode]);

test.each(all)('resized: $width x $height $mode of $kind, seed $seed', (entry) => {
  const [height, width] = entry.resized;
  expect(processorOf(entry).geometry(entry.height, entry.width).resized).toEqual({ height, width });
  expect(sha256(resizeBicubic(toRgb(imageOf(entry)), { height, width }).data)).toBe(entry.resized_sha256);
});

test.each(patched)('patches: $width x $height $mode of $kind, seed $seed', (entry) => {
  const { pixelValues, imageGridThw } = processorOf(entry).process([imageOf(entry)]);
  expect(imageGridThw).toEqual([entry.image_grid_thw]);
  expect([...pixelValues.subarray(0, 4)]).toEqual(entry.first);
  expect(sha256(pixelValues)).toBe(entry.sha256);
});

test('there are fifty random pictures, and the ten sizes', () => {
  expect(all).toHaveLength(60);
  expect(patched.length).toBeGreaterThanOrEqual(55);
});
