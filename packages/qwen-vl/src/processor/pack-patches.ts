/**
 * Images and videos of one call to one array of patches.
 *
 * Each becomes rows of patches, one picture after the other in the order given: f32 [sum of gt * gh * gw, C * T * P * P]. Nothing
 * is padded, so pictures of different sizes go together. Sizes are settled for all before a pixel is touched, and frames are
 * resized and cut one temporal patch at a time, so beside the result there is memory for T frames only.
 */
import type { PreprocessorConfig } from '../config/types.js';
import { ImageError } from '../errors.js';
import type { ImageGeometry } from './coordinates.js';
import { patchify, rescaleAndNormalize, type GridThw } from './patchify.js';
import type { PixelArithmetic } from './pixel-arithmetic.js';
import { checkBudget, splitTokens, type PixelBudget } from './pixel-budget.js';
import { toRgb, type RasterImage } from './raster.js';
import { resizeBicubic } from './resize-bicubic.js';

/** An image or a video that was checked, before its size is settled. */
export interface PreparedVisual<Geometry extends ImageGeometry = ImageGeometry> {
  /** What errors call it. */
  readonly name: string;
  /** One for an image. */
  readonly frames: readonly RasterImage[];
  readonly arithmetic: PixelArithmetic;
  /** Visual tokens it takes at the very least: one per temporal patch. */
  readonly leastTokens: number;
  /** What becomes of it if it may take `maxTokens` visual tokens. */
  geometry(maxTokens: number): Geometry;
}

/** Patches of images and videos: what the vision tower reads. */
export interface VisualPatches {
  /** f32 [sum of gt * gh * gw, C * T * P * P]: the patches of all visuals in order. */
  readonly pixelValues: Float32Array;
  readonly patchDimension: number;
  /** Patch grid of each visual, in order. */
  readonly grids: readonly GridThw[];
}

export interface PackedVisuals<Geometry extends ImageGeometry> extends VisualPatches {
  /** Sizes before and after, and how many visual tokens each takes, in order. */
  readonly geometries: readonly Geometry[];
}

/**
 * More patches than this in one call (65536 visual tokens), or more values than they have in the published models (1.2 GB), means
 * a wrong budget or patch size, not a large picture.
 */
const MAX_PATCHES = 2 ** 18;
const MAX_VALUES = MAX_PATCHES * 1176;

/** An error about one picture, with the picture's name in front. */
function named<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof ImageError ? new ImageError(`${name}: ${error.message}`, { cause: error }) : error;
  }
}

function settleSizes<Geometry extends ImageGeometry>(
  visuals: readonly PreparedVisual<Geometry>[],
  { maxVisualTokens = Infinity, totalVisualTokens = Infinity }: PixelBudget,
): readonly Geometry[] {
  const most = Math.min(maxVisualTokens, totalVisualTokens);
  const alone = visuals.map((visual) => named(visual.name, () => visual.geometry(most)));
  const wanted = alone.map((geometry) => geometry.visualTokens);
  const least = visuals.map((visual, index) => Math.min(visual.leastTokens, wanted[index]!));
  const shares = splitTokens(wanted, least, totalVisualTokens);
  return alone.map((geometry, index) => {
    const { name, geometry: within } = visuals[index]!;
    return shares[index] === wanted[index] ? geometry : named(name, () => within(shares[index]!));
  });
}

/** Sizes and grids of all visuals, and how many values their patches have together. */
export interface VisualLayout<Geometry extends ImageGeometry> extends Omit<PackedVisuals<Geometry>, 'pixelValues'> {
  readonly values: number;
}

/**
 * Settles the sizes of all visuals.
 * @param visuals in the order their tokens appear in the prompt
 * @throws ImageError naming the image or video and what is wrong with it, or the limit of the budget that cannot be kept
 */
export function layOutVisuals<Geometry extends ImageGeometry>(
  visuals: readonly PreparedVisual<Geometry>[],
  config: PreprocessorConfig,
  budget: PixelBudget,
): VisualLayout<Geometry> {
  checkBudget(budget);
  const { patchSize, temporalPatchSize } = config;
  const geometries = settleSizes(visuals, budget);
  const patchDimension = 3 * temporalPatchSize * patchSize * patchSize;
  const grids = geometries.map((geometry) => geometry.gridThw);
  const patches = grids.reduce((sum, [time, height, width]) => sum + time * height * width, 0);
  if (patches > MAX_PATCHES) {
    throw new ImageError(
      `${patches} patches are more than ${MAX_PATCHES}; lower maxPixels or totalVisualTokens, or pass fewer images or frames`,
    );
  }
  if (patches * patchDimension > MAX_VALUES) {
    throw new ImageError(
      `${patches} patches of ${patchDimension} values are more than ${MAX_VALUES} values; lower maxPixels, or check patch_size and temporal_patch_size of the checkpoint`,
    );
  }
  return { values: patches * patchDimension, patchDimension, grids, geometries };
}

/**
 * @param visuals in the order their tokens appear in the prompt
 * @throws as `layOutVisuals`
 */
export function packVisuals<Geometry extends ImageGeometry>(
  visuals: readonly PreparedVisual<Geometry>[],
  config: PreprocessorConfig,
  budget: PixelBudget,
): PackedVisuals<Geometry> {
  const { values: valueCount, ...layout } = layOutVisuals(visuals, config, budget);
  const { geometries, patchDimension } = layout;
  const pixelValues = new Float32Array(valueCount);
  const { temporalPatchSize } = config;
  let offset = 0;
  for (const [index, visual] of visuals.entries()) {
    const { resized, gridThw } = geometries[index]!;
    const length = gridThw[1] * gridThw[2] * patchDimension;
    for (let first = 0; first < visual.frames.length; first += temporalPatchSize, offset += length) {
      const frames = visual.frames.slice(first, first + temporalPatchSize);
      const values = frames.map((frame) =>
        rescaleAndNormalize(resizeBicubic(toRgb(frame), resized, visual.arithmetic), config, visual.arithmetic),
      );
      const shape = { ...resized, frames: frames.length, channels: 3 };
      patchify(joined(values), shape, config, pixelValues.subarray(offset, offset + length));
    }
  }
  return { pixelValues, ...layout };
}

/** Arrays one after the other; a single one as it is. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
