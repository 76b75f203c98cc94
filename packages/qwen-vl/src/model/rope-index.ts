/**
 * Position ids of multimodal RoPE: one (time, height, width) triple per token (transformers `get_rope_index`).
 *
 * Text advances all three axes together. The merged grid (t, H, W) of an image that starts at position s gives the token
 * in frame k, row r, column c the triple (s + τ(k), s + r, s + c); text resumes one above the largest position so far.
 * Decoding continues with all axes at (cached length) + delta, where delta = largest position + 1 − length.
 */
import { InvalidInputError } from '../errors.js';
import type { MultimodalTokenIds } from '../config/types.js';
import type { GridThw } from '../processor/patchify.js';

export type { GridThw };

export interface RopeIndex {
  /** [3, length] row-major: all time positions, then height, then width. */
  readonly positions: Int32Array;
  readonly delta: number;
}

export function ropeIndex(
  inputIds: ArrayLike<number>,
  grids: readonly GridThw[],
  tokens: MultimodalTokenIds,
  spatialMergeSize: number,
): RopeIndex {
  const length = inputIds.length;
  const positions = new Int32Array(3 * length);
  const set = (at: number, time: number, height: number, width: number): void => {
    positions[at] = time;
    positions[length + at] = height;
    positions[2 * length + at] = width;
  };
  let next = 0;
  let image = 0;
  for (let at = 0; at < length;) {
    if (inputIds[at] !== tokens.imageTokenId) {
      set(at++, next, next, next);
      next++;
      continue;
    }
    const grid = grids[image++];
    if (!grid)
      throw new InvalidInputError(
        `the prompt holds visual tokens for more than the ${grids.length} image(s) given: pass one image per image placeholder`,
      );
    const [frames, rows, columns] = [grid[0], grid[1] / spatialMergeSize, grid[2] / spatialMergeSize];
    for (let unit = 0; unit < frames * rows * columns; unit++, at++) {
      if (inputIds[at] !== tokens.imageTokenId)
        throw new InvalidInputError(
          `image ${image} needs ${frames * rows * columns} visual tokens, the prompt has ${unit} in a row: expand the image placeholder with the processor`,
        );
      const frame = Math.floor(unit / (rows * columns));
      set(at, next + frame, next + (Math.floor(unit / columns) % rows), next + (unit % columns));
    }
    next += Math.max(frames, rows, columns);
  }
  if (image !== grids.length)
    throw new InvalidInputError(
      `${grids.length} image(s) were given, the prompt has visual tokens for ${image}: put one image placeholder into the prompt per image`,
    );
  return { positions, delta: next - length };
}
