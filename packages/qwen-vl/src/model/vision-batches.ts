/**
 * Many images and videos as few runs of the vision tower: one run per patch grid, whatever the order of the prompt.
 *
 * Nothing in the tower crosses frames, so a video of grid (t, h, w) is t images of grid (1, h, w): attention over one frame
 * costs (h·w)² where attention over the video, most of it masked, would cost (t·h·w)². Pixels are copied once, into the batches.
 */
import { tensor, type Tensor } from '@mindseye/tensor-core';
import { InvalidInputError } from '../errors.js';
import type { Qwen2_5_VLVisionConfig } from '../config/types.js';
import { type GridThw, mergedGrid } from './rope-index.js';
import { visualTokens } from './sequence.js';
import { type VisionOperands, visionOperands } from './vision.js';

/** Patches of one image or video, as the processor makes them: [patches, C·T·P·P]. */
export interface VisionItem {
  readonly pixelValues: Float32Array;
  readonly grid: GridThw;
}

/** The operands of one run: frames of one size. */
export interface VisionBatch {
  /** f32 [frames, patches, C·T·P·P] */
  readonly pixelValues: Tensor;
  readonly operands: VisionOperands;
}

export interface VisionBatches {
  readonly batches: readonly VisionBatch[];
  /**
   * First row of each item, in the order given, in the table that the batches' visual tokens form one after another: the
   * `featureStarts` of a sequence. An item's rows follow one another even where a batch ends in the middle of it.
   */
  readonly featureStarts: readonly number[];
  /** Rows of that table. */
  readonly rows: number;
}

export interface VisionBatchOptions {
  /** Patches per run at most, though never less than one frame: bounds the tower's working memory. Unbounded when left out. */
  readonly patchesPerBatch?: number;
}

/**
 * @throws InvalidInputError if an item's pixels do not fit its grid
 */
export function visionBatches(
  config: Qwen2_5_VLVisionConfig,
  items: readonly VisionItem[],
  { patchesPerBatch = Infinity }: VisionBatchOptions = {},
): VisionBatches {
  const { inChannels, temporalPatchSize, patchSize, spatialMergeSize } = config;
  const width = inChannels * temporalPatchSize * patchSize ** 2;
  const bySize = new Map<string, number[]>();
  items.forEach(({ pixelValues, grid }, index) => {
    mergedGrid(grid, spatialMergeSize);
    const [frames, rows, columns] = grid;
    if (pixelValues.length !== frames * rows * columns * width)
      throw new InvalidInputError(
        `image or video ${index + 1} has ${pixelValues.length} pixel values, its grid ${grid.join(' x ')} needs ${frames * rows * columns} patches of ${width}: take both from the processor`,
      );
    const size = `${rows}x${columns}`;
    const group = bySize.get(size);
    if (group) group.push(index);
    else bySize.set(size, [index]);
  });

  const featureStarts = Array.from({ length: items.length }, () => 0);
  const batches: VisionBatch[] = [];
  let row = 0;
  for (const group of bySize.values()) {
    const [, rows, columns] = items[group[0]!]!.grid;
    const frameLength = rows * columns * width;
    const frames: Float32Array[] = [];
    for (const index of group) {
      const { pixelValues, grid } = items[index]!;
      featureStarts[index] = row;
      row += visualTokens(grid, spatialMergeSize);
      for (let frame = 0; frame < grid[0]; frame++)
        frames.push(pixelValues.subarray(frame * frameLength, (frame + 1) * frameLength));
    }
    const perBatch = Math.max(1, Math.floor(patchesPerBatch / (rows * columns)));
    for (let first = 0; first < frames.length; first += perBatch) {
      const own = frames.slice(first, first + perBatch);
      const pixels = new Float32Array(own.length * frameLength);
      own.forEach((frame, i) => pixels.set(frame, i * frameLength));
      batches.push({
        pixelValues: tensor(pixels, [own.length, rows * columns, width]),
        operands: visionOperands(config, [1, rows, columns], own.length),
      });
    }
  }
  return { batches, featureStarts, rows: row };
}
