/**
 * Images and videos of one call to one array of patches, computed on a device.
 *
 * The same bits as `packVisuals`: both resize with whole-number weights and look normalised samples up in one table. A visual
 * goes to the device whole, as u32 pixels, and its patches come back at once; the device holds one visual at a time.
 */
import {
  type Device,
  type Tensor,
  compile,
  packPixels,
  patchifyImage,
  resampleImage,
  tensor,
} from '@mindseye/tensor-core';
import type { PreprocessorConfig } from '../config/types.js';
import type { ImageGeometry } from './coordinates.js';
import { joined, layOutVisuals, type PackedVisuals, type PreparedVisual } from './pack-patches.js';
import { normalizationTable } from './patchify.js';
import type { PixelArithmetic } from './pixel-arithmetic.js';
import type { PixelBudget } from './pixel-budget.js';
import type { RasterImage } from './raster.js';
import type { Size } from './smart-resize.js';

/** Values of an 8-bit sample, and channels of a patch. */
const LEVELS = 256;
const CHANNELS = 3;

/** Frames of one size as u32 [frames, height, width]. */
function packFrames(frames: readonly RasterImage[], { width, height }: Size): Tensor {
  const shape = [frames.length, height, width];
  const pixels = width * height;
  const [first] = frames as readonly [RasterImage];
  if (frames.length === 1) return tensor(packPixels(first.data, first.channels), shape);
  const words = new Uint32Array(frames.length * pixels);
  for (const [index, { data, channels }] of frames.entries()) words.set(packPixels(data, channels), index * pixels);
  return tensor(words, shape);
}

/** The patches of one visual. Both functions give the bytes of their operand back. */
function patchesOn(device: Device, config: PreprocessorConfig) {
  const cut = compile(
    (pixels: Tensor, resized: Size, arithmetic: PixelArithmetic) => {
      const table = normalizationTable(config, arithmetic).subarray(0, CHANNELS * LEVELS);
      return patchifyImage(resampleImage(pixels, resized, { arithmetic }), tensor(table, [CHANNELS, LEVELS]), config);
    },
    { device, donate: [0], name: 'processOn' },
  );
  const giveBack = compile((_patches: Tensor) => [], { device, donate: [0], name: 'processOn' });
  return async (
    { frames, arithmetic }: PreparedVisual,
    { original, resized }: ImageGeometry,
  ): Promise<Float32Array> => {
    const patches = await cut(packFrames(frames, original), resized, arithmetic);
    const values = (await patches.data()) as Float32Array;
    await giveBack(patches);
    return values;
  };
}

/**
 * As `packVisuals`, with the pixels' arithmetic on `device`.
 * @throws as `packVisuals`, and what the device throws when it has too little memory
 */
export async function packVisualsOn<Geometry extends ImageGeometry>(
  device: Device,
  visuals: readonly PreparedVisual<Geometry>[],
  config: PreprocessorConfig,
  budget: PixelBudget,
): Promise<PackedVisuals<Geometry>> {
  const { values: _, ...layout } = layOutVisuals(visuals, config, budget);
  const patches = patchesOn(device, config);
  const parts: Float32Array[] = [];
  for (const [index, visual] of visuals.entries()) parts.push(await patches(visual, layout.geometries[index]!));
  return { pixelValues: joined(parts), ...layout };
}
