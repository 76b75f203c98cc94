/**
 * Image in, patches out: RGB, smart resize, bicubic, normalise, patchify.
 *
 * Several images give one `pixelValues` array, one after the other, and one grid each: the layout the vision tower and
 * transformers' `Qwen2VLImageProcessor` share. Nothing is padded, so images of different sizes go together.
 */
import { ImageError } from '../errors.js';
import type { PreprocessorConfig } from '../config/types.js';
import { describeImage, type ImageGeometry } from './coordinates.js';
import { patchify, rescaleAndNormalize, type GridThw } from './patchify.js';
import { toRgb, type RasterImage } from './raster.js';
import { resizeBicubic } from './resize-bicubic.js';
import { smartResize } from './smart-resize.js';

/** Pixel budget of a call; it replaces that of the preprocessor configuration. One visual token is 28 x 28 pixels. */
export interface PixelBudget {
  readonly minPixels?: number;
  readonly maxPixels?: number;
}

export interface ProcessedImages {
  /** f32 [sum of gt * gh * gw, C * T * P * P]: the patches of all images in order. */
  readonly pixelValues: Float32Array;
  readonly patchDimension: number;
  readonly imageGridThw: readonly GridThw[];
  /** Per image: sizes before and after, and how many visual tokens it takes. */
  readonly images: readonly ImageGeometry[];
}

/** More patches than this in one call (65536 visual tokens, 1.2 GB) means a wrong budget, not a large picture. */
const MAX_PATCHES = 2 ** 18;

export class ImageProcessor {
  readonly config: PreprocessorConfig;

  constructor(config: PreprocessorConfig) {
    this.config = config;
  }

  /**
   * The geometry an image of this size will get, without touching pixels.
   * @throws ImageError if the aspect ratio is above 200
   */
  geometry(height: number, width: number, budget: PixelBudget = {}): ImageGeometry {
    const { patchSize, mergeSize } = this.config;
    const minPixels = budget.minPixels ?? Math.min(this.config.minPixels, budget.maxPixels ?? Infinity);
    const maxPixels = budget.maxPixels ?? Math.max(this.config.maxPixels, minPixels);
    const resized = smartResize(height, width, { factor: patchSize * mergeSize, minPixels, maxPixels });
    return describeImage({ height, width }, resized, patchSize, mergeSize);
  }

  /**
   * Turns images into patches.
   * @param images in the order their tokens appear in the prompt; they are not changed
   * @throws ImageError naming the image (1-based) and what is wrong with it
   */
  process(images: readonly RasterImage[], budget: PixelBudget = {}): ProcessedImages {
    const { patchSize, temporalPatchSize } = this.config;
    const rgb = images.map((image, index) => toRgb(image, `image ${index + 1}`));
    const geometries = rgb.map((image, index) => {
      try {
        return this.geometry(image.height, image.width, budget);
      } catch (error) {
        throw error instanceof ImageError ? new ImageError(`image ${index + 1}: ${error.message}`) : error;
      }
    });
    const patchDimension = 3 * temporalPatchSize * patchSize * patchSize;
    const patches = geometries.reduce((sum, { gridThw: [t, h, w] }) => sum + t * h * w, 0);
    if (patches > MAX_PATCHES) {
      throw new ImageError(`${patches} patches are more than ${MAX_PATCHES}; lower maxPixels or pass fewer images`);
    }
    const pixelValues = new Float32Array(patches * patchDimension);
    let offset = 0;
    for (const [index, image] of rgb.entries()) {
      const resized = resizeBicubic(image, geometries[index]!.resized);
      const result = patchify(rescaleAndNormalize(resized, this.config), resized, this.config);
      pixelValues.set(result.pixelValues, offset);
      offset += result.pixelValues.length;
    }
    return { pixelValues, patchDimension, imageGridThw: geometries.map((image) => image.gridThw), images: geometries };
  }
}
