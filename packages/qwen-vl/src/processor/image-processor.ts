/**
 * Image in, patches out: RGB, smart resize, bicubic, normalise, patchify.
 *
 * Several images give one `pixelValues` array, one after the other, and one grid each: the layout the vision tower and
 * transformers' `Qwen2VLImageProcessor` share.
 */
import type { Device } from '@mindseye/tensor-core';
import type { PreprocessorConfig } from '../config/types.js';
import { describeImage, type ImageGeometry } from './coordinates.js';
import { packVisuals, type PackedVisuals, type PreparedVisual, type VisualPatches } from './pack-patches.js';
import { packVisualsOn } from './pack-patches-on-device.js';
import type { GridThw } from './patchify.js';
import type { PixelArithmetic } from './pixel-arithmetic.js';
import { checkBudget, pixelLimits, sizeWithin, type PixelBudget } from './pixel-budget.js';
import { checkRaster, type RasterImage } from './raster.js';

export interface ProcessedImages extends VisualPatches {
  /** `grids` by the name transformers gives them. */
  readonly imageGridThw: readonly GridThw[];
  /** Per image: sizes before and after, and how many visual tokens it takes. */
  readonly images: readonly ImageGeometry[];
}

export interface ImageProcessorOptions {
  /** Default `pillow`. */
  readonly arithmetic?: PixelArithmetic;
}

const processed = ({ geometries, grids, ...patches }: PackedVisuals<ImageGeometry>): ProcessedImages => ({
  ...patches,
  grids,
  imageGridThw: grids,
  images: geometries,
});

export class ImageProcessor {
  readonly config: PreprocessorConfig;
  readonly arithmetic: PixelArithmetic;

  constructor(config: PreprocessorConfig, { arithmetic = 'pillow' }: ImageProcessorOptions = {}) {
    this.config = config;
    this.arithmetic = arithmetic;
  }

  /**
   * The geometry an image of this size will get if it is alone, without touching pixels.
   * @throws ImageError if the aspect ratio is above 200 or the budget contradicts itself
   */
  geometry(height: number, width: number, budget: PixelBudget = {}): ImageGeometry {
    checkBudget(budget);
    const { maxVisualTokens = Infinity, totalVisualTokens = Infinity } = budget;
    return this.#geometry(height, width, budget, Math.min(maxVisualTokens, totalVisualTokens));
  }

  /**
   * Checks an image.
   * @param name what errors call it
   * @throws ImageError if sizes and data do not fit
   */
  prepare(image: RasterImage, name: string, budget: PixelBudget): PreparedVisual {
    checkRaster(image, name);
    return {
      name,
      frames: [image],
      arithmetic: this.arithmetic,
      leastTokens: 1,
      geometry: (maxTokens) => this.#geometry(image.height, image.width, budget, maxTokens),
    };
  }

  /**
   * Turns images into patches.
   * @param images in the order their tokens appear in the prompt; they are not changed
   * @throws ImageError naming the image (1-based) and what is wrong with it
   */
  process(images: readonly RasterImage[], budget: PixelBudget = {}): ProcessedImages {
    return processed(packVisuals(this.#prepareAll(images, budget), this.config, budget));
  }

  /**
   * As `process`, with resizing, normalising and cutting on a device; the patches have the same bits.
   * @throws as `process`, and what the device throws when it has too little memory
   */
  async processOn(device: Device, images: readonly RasterImage[], budget: PixelBudget = {}): Promise<ProcessedImages> {
    return processed(await packVisualsOn(device, this.#prepareAll(images, budget), this.config, budget));
  }

  #prepareAll(images: readonly RasterImage[], budget: PixelBudget): readonly PreparedVisual[] {
    return images.map((image, index) => this.prepare(image, `image ${index + 1}`, budget));
  }

  #geometry(height: number, width: number, budget: PixelBudget, maxTokens: number): ImageGeometry {
    const { patchSize, mergeSize } = this.config;
    const limits = pixelLimits(this.config, budget);
    const original = { height, width };
    const resized = sizeWithin(original, patchSize * mergeSize, limits, maxTokens, budget.minPixels !== undefined);
    return describeImage(original, resized, patchSize, mergeSize);
  }
}
