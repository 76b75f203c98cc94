/**
 * From 8-bit pixels to the rows the vision tower reads.
 *
 * 1. Rescale and normalise, in the exact arithmetic of transformers' Pillow path: v = f32(f64(pixel) * rescaleFactor), then
 *    f32((v - f32(mean)) / f32(std)) with each step rounded to f32. A pixel has 256 values, so this is a table.
 * 2. Patches. The image [C, H, W] is repeated T times in time, seen as (gt, T, C, gh/m, m, P, gw/m, m, P) and its axes
 *    ordered (gt, gh/m, gw/m, m, m, C, T, P, P). So rows go block by block, each run of m * m rows is one merged token,
 *    and a row's columns run channel, time, y, x: the order of the flattened patch convolution.
 *
 * Source: transformers `image_processing_pil_qwen2_vl.py`, `image_transforms.py`.
 */
import { ImageError } from '../errors.js';
import type { PreprocessorConfig } from '../config/types.js';
import type { RgbImage } from './raster.js';

/** Grid of patches in time, height and width. Visual tokens are its product over mergeSize squared. */
export type GridThw = readonly [time: number, height: number, width: number];

type Normalization = Pick<PreprocessorConfig, 'imageMean' | 'imageStd' | 'rescaleFactor'>;
type PatchSizes = Pick<PreprocessorConfig, 'patchSize' | 'temporalPatchSize' | 'mergeSize'>;

export interface Patches {
  /** Rows of `patchDimension` values: gt * gh * gw of them. */
  readonly pixelValues: Float32Array;
  readonly gridThw: GridThw;
  /** C * T * P * P, the length of a row. */
  readonly patchDimension: number;
}

/** The normalised value of every 8-bit sample of every channel: [channels, 256]. */
export function normalizationTable(config: Normalization): Float32Array {
  const table = new Float32Array(config.imageMean.length * 256);
  for (const [channel, mean] of config.imageMean.entries()) {
    const deviation = Math.fround(config.imageStd[channel] ?? 1);
    for (let value = 0; value < 256; value++) {
      const centred = Math.fround(Math.fround(value * config.rescaleFactor) - Math.fround(mean));
      table[channel * 256 + value] = centred / deviation;
    }
  }
  return table;
}

/** Rescales and normalises an RGB image and moves channels first. Returns f32 [3, height, width]. */
export function rescaleAndNormalize(image: RgbImage, config: Normalization): Float32Array {
  const { data, width, height, channels } = image;
  const table = normalizationTable(config);
  const pixels = width * height;
  const values = new Float32Array(pixels * channels);
  for (let channel = 0; channel < channels; channel++) {
    const plane = channel * pixels;
    const row = channel * 256;
    for (let pixel = 0; pixel < pixels; pixel++)
      values[plane + pixel] = table[row + data[pixel * channels + channel]!]!;
  }
  return values;
}

/**
 * Cuts a normalised image into patches.
 * @param values f32 [channels, height, width]
 * @returns rows of channels * temporalPatchSize * patchSize^2 values, grid [1, height / patchSize, width / patchSize]
 * @throws ImageError if a side is not a multiple of patchSize * mergeSize or the data has another length
 */
export function patchify(
  values: Float32Array,
  shape: { readonly channels: number; readonly height: number; readonly width: number },
  sizes: PatchSizes,
): Patches {
  const { channels, height, width } = shape;
  const { patchSize, temporalPatchSize, mergeSize } = sizes;
  const factor = patchSize * mergeSize;
  if (height % factor !== 0 || width % factor !== 0) {
    throw new ImageError(`patchify: ${width} x ${height} pixels must be multiples of ${factor} (patch x merge size)`);
  }
  if (values.length !== channels * height * width) {
    throw new ImageError(
      `patchify: [${channels}, ${height}, ${width}] needs ${channels * height * width} values, got ${values.length}`,
    );
  }
  const gridHeight = height / patchSize;
  const gridWidth = width / patchSize;
  const patchDimension = channels * temporalPatchSize * patchSize * patchSize;
  const pixelValues = new Float32Array(gridHeight * gridWidth * patchDimension);
  let to = 0;
  for (let blockRow = 0; blockRow < gridHeight; blockRow += mergeSize) {
    for (let blockColumn = 0; blockColumn < gridWidth; blockColumn += mergeSize) {
      for (let inBlock = 0; inBlock < mergeSize * mergeSize; inBlock++) {
        const top = (blockRow + Math.floor(inBlock / mergeSize)) * patchSize;
        const left = (blockColumn + (inBlock % mergeSize)) * patchSize;
        for (let channel = 0; channel < channels; channel++) {
          for (let time = 0; time < temporalPatchSize; time++) {
            for (let y = 0; y < patchSize; y++, to += patchSize) {
              const from = (channel * height + top + y) * width + left;
              pixelValues.set(values.subarray(from, from + patchSize), to);
            }
          }
        }
      }
    }
  }
  return { pixelValues, gridThw: [1, gridHeight, gridWidth], patchDimension };
}
