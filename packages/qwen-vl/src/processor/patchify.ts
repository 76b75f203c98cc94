/**
 * From 8-bit pixels to the rows the vision tower reads.
 *
 * 1. Rescale and normalise, in the exact arithmetic of transformers (`PixelArithmetic`). A sample has 256 values, so this is
 *    a table.
 * 2. Patches: frames are filled up by repeating the last (an image is one frame), and cut in the order of tensor-core's
 *    `cutPatches`.
 *
 * Source: transformers `image_processing_pil_qwen2_vl.py`, `video_processing_qwen2_vl.py`.
 */
import { cutPatches, lookUpSamples } from '@mindseye/tensor-core';
import { ImageError } from '../errors.js';
import type { PreprocessorConfig } from '../config/types.js';
import { NORMALIZE_SAMPLE, type PixelArithmetic } from './pixel-arithmetic.js';
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
export function normalizationTable(config: Normalization, arithmetic: PixelArithmetic = 'pillow'): Float32Array {
  const normalize = NORMALIZE_SAMPLE[arithmetic];
  const { imageMean, imageStd, rescaleFactor } = config;
  return Float32Array.from({ length: imageMean.length * 256 }, (_value, index) =>
    normalize(index % 256, imageMean[index >> 8]!, imageStd[index >> 8] ?? 1, rescaleFactor),
  );
}

/** Rescales and normalises an RGB image and moves channels first. Returns f32 [3, height, width]. */
export function rescaleAndNormalize(
  image: RgbImage,
  config: Normalization,
  arithmetic: PixelArithmetic = 'pillow',
): Float32Array {
  const { data, width, height, channels } = image;
  const table = normalizationTable(config, arithmetic);
  const values = new Float32Array(width * height * channels);
  lookUpSamples(data, channels, table, channels, values);
  return values;
}

/** Frames of one size, channels first. */
export interface FrameShape {
  /** 1 when left out. */
  readonly frames?: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Cuts a normalised image, or the frames of a video, into patches.
 * @param values f32 [frames, channels, height, width]
 * @returns rows of channels * temporalPatchSize * patchSize^2 values, grid
 *   [ceil(frames / temporalPatchSize), height / patchSize, width / patchSize]; `pixelValues` is `target` if that is given
 * @throws ImageError if a side is not a multiple of patchSize * mergeSize, or the data or the target has another length
 */
export function patchify(values: Float32Array, shape: FrameShape, sizes: PatchSizes, target?: Float32Array): Patches {
  const { frames = 1, channels, height, width } = shape;
  const { patchSize, temporalPatchSize, mergeSize } = sizes;
  const factor = patchSize * mergeSize;
  if (height % factor !== 0 || width % factor !== 0) {
    throw new ImageError(`patchify: ${width} x ${height} pixels must be multiples of ${factor} (patch x merge size)`);
  }
  const expected = frames * channels * height * width;
  if (values.length !== expected || frames < 1) {
    throw new ImageError(
      `patchify: [${frames}, ${channels}, ${height}, ${width}] needs ${expected} values, got ${values.length}`,
    );
  }
  const gridTime = Math.ceil(frames / temporalPatchSize);
  const gridHeight = height / patchSize;
  const gridWidth = width / patchSize;
  const patchDimension = channels * temporalPatchSize * patchSize * patchSize;
  const length = gridTime * gridHeight * gridWidth * patchDimension;
  const pixelValues = target ?? new Float32Array(length);
  if (pixelValues.length !== length) {
    throw new ImageError(`patchify: the target has ${pixelValues.length} values; the patches need ${length}`);
  }
  cutPatches(values, { frames, channels, height, width }, sizes, pixelValues);
  return { pixelValues, gridThw: [gridTime, gridHeight, gridWidth], patchDimension };
}
