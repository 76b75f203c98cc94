/**
 * Where the patches of one image go in the vision tower, and who attends to whom there.
 *
 * Patches arrive in merge-block order: frame, block row, block column, then the 2×2 block; four in a row are one *unit*.
 * The tower reorders units window by window. `windowIndex[i]` is the unit at place i; the merger's output is put back by
 * its inverse permutation, which is not the same list (they coincide on some popular sizes, which hides the mistake).
 * Windowed blocks attend within a window, the others within a frame. Source: transformers `get_window_index`.
 */
import type { Qwen2_5_VLVisionConfig } from '../config/types.js';
import type { GridThw } from './rope-index.js';

export interface VisionLayout {
  /** Unit at each place of the tower's order. */
  readonly windowIndex: Int32Array;
  /** Place of each unit: the inverse of `windowIndex`. */
  readonly unitPlace: Int32Array;
  /** For each place (of a patch, in tower order): its window and its frame. */
  readonly windowOf: Int32Array;
  readonly frameOf: Int32Array;
  /** Patch row and column of each place, interleaved. */
  readonly coordinates: Int32Array;
}

export function visionLayout(
  config: Pick<Qwen2_5_VLVisionConfig, 'windowSize' | 'patchSize' | 'spatialMergeSize'>,
  [frames, patchRows, patchColumns]: GridThw,
): VisionLayout {
  const merge = config.spatialMergeSize;
  const [rows, columns] = [patchRows / merge, patchColumns / merge];
  const side = Math.floor(config.windowSize / merge / config.patchSize);
  const units = frames * rows * columns;
  const block = merge * merge;
  const windowIndex = new Int32Array(units);
  const unitPlace = new Int32Array(units);
  const windowOf = new Int32Array(units * block);
  const frameOf = new Int32Array(units * block);
  const coordinates = new Int32Array(2 * units * block);
  let place = 0;
  let window = 0;
  const put = (frame: number, row: number, column: number): void => {
    const unit = (frame * rows + row) * columns + column;
    windowIndex[place] = unit;
    unitPlace[unit] = place;
    for (let inside = 0; inside < block; inside++) {
      const at = place * block + inside;
      windowOf[at] = window;
      frameOf[at] = frame;
      coordinates[2 * at] = row * merge + Math.floor(inside / merge);
      coordinates[2 * at + 1] = column * merge + (inside % merge);
    }
    place++;
  };
  for (let frame = 0; frame < frames; frame++) {
    for (let top = 0; top < rows; top += side) {
      for (let left = 0; left < columns; left += side, window++) {
        for (let row = top; row < Math.min(top + side, rows); row++) {
          for (let column = left; column < Math.min(left + side, columns); column++) put(frame, row, column);
        }
      }
    }
  }
  return { windowIndex, unitPlace, windowOf, frameOf, coordinates };
}
