/**
 * Token sequences as run-time operands of the language model: ids, where visual tokens go, and rotary tables.
 *
 * Rows of a batch are padded with id 0 at position 0: on the right for training, where under a causal mask no real token sees
 * the padding; on the left for generation, where all rows then end together and a mask has to hide the padding. Positions
 * are those of the row without its padding, so a padded row gives what it gives alone.
 */
import { type Tensor, tensor } from '@mindseye/tensor-core';
import { InvalidInputError } from '../errors.js';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { type GridThw, type RopeCompat, type RopeIndex, mergedGrid, ropeIndex } from './rope-index.js';
import { languageRotary } from './rotary.js';

export interface SequenceRow {
  readonly inputIds: ArrayLike<number>;
  /** Patch grid of each image and video, in the order of the prompt. Which it is, the token ids say. */
  readonly grids: readonly GridThw[];
  /** Seconds from one temporal patch to the next of the video at the same place in `grids`; not read for images. */
  readonly secondsPerGrid?: readonly (number | undefined)[];
  /** Whose positions videos get; those that the checkpoints were trained with when left out. */
  readonly ropeCompat?: RopeCompat;
  /** First row of each image or video in the table of visual tokens; images follow one another from row 0 when left out. */
  readonly featureStarts?: readonly number[];
  /** Position triples [3, length] in place of the computed ones. */
  readonly positions?: Int32Array;
}

export interface SequenceOperands {
  /** i32 [B, S] */
  readonly inputIds: Tensor;
  /** bool [B, S, 1] */
  readonly isVisual: Tensor;
  /** i32 [B, S]: row in the table of visual tokens, 0 elsewhere. */
  readonly visualIndex: Tensor;
  /** f32 [B, S, headDim / 2] */
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Visual tokens of an image or video: one per 2×2 block of patches of each frame. */
export const visualTokens = ([frames, rows, columns]: GridThw, spatialMergeSize: number): number =>
  (frames * rows * columns) / spatialMergeSize ** 2;

/**
 * Position triples of a row [3, length] and where they go on: those it brings, or `ropeIndex` with the model's own settings.
 * @throws InvalidInputError if visual tokens and grids do not fit each other
 */
export function rowPositions(config: Qwen2_5_VLConfig, row: SequenceRow): RopeIndex {
  const { inputIds, grids, secondsPerGrid, ropeCompat, positions } = row;
  const { spatialMergeSize, tokensPerSecond } = config.visionConfig;
  if (!positions)
    return ropeIndex(inputIds, grids, config, spatialMergeSize, {
      tokensPerSecond,
      secondsPerGrid,
      compat: ropeCompat,
    });
  if (positions.length !== 3 * inputIds.length)
    throw new InvalidInputError(
      `${inputIds.length} tokens need ${3 * inputIds.length} positions [3, length], got ${positions.length}`,
    );
  const next = positions.reduce((most, at) => Math.max(most, at), -1) + 1;
  return { positions, delta: next - inputIds.length, next };
}

/**
 * @param length pad rows to this; the longest row when left out.
 * @param side where the padding goes.
 * @throws InvalidInputError if a row is too long, has an id outside the vocabulary, or visual tokens that do not fit its grids
 */
export function sequenceOperands(
  config: Qwen2_5_VLConfig,
  rows: readonly SequenceRow[],
  length: number = rows.reduce((most, row) => Math.max(most, row.inputIds.length), 0),
  side: 'left' | 'right' = 'right',
): SequenceOperands {
  const { textConfig, visionConfig } = config;
  const half = textConfig.headDim / 2;
  const batch = rows.length;
  const inputIds = new Int32Array(batch * length);
  const isVisual = new Uint8Array(batch * length);
  const visualIndex = new Int32Array(batch * length);
  // The rotation of position 0, which padding keeps.
  const cos = new Float32Array(batch * length * half).fill(1);
  const sin = new Float32Array(batch * length * half);
  let nextFeature = 0;
  rows.forEach((row, b) => {
    if (row.inputIds.length > length)
      throw new InvalidInputError(
        `a sequence of ${row.inputIds.length} tokens does not fit the length of ${length}: shorten it or raise the length`,
      );
    checkIds(row.inputIds, textConfig.vocabSize);
    const start = b * length + (side === 'left' ? length - row.inputIds.length : 0);
    inputIds.set(row.inputIds, start);
    const tables = languageRotary(textConfig, rowPositions(config, row).positions);
    cos.set(tables.cos, start * half);
    sin.set(tables.sin, start * half);
    // A decoded placeholder, in a row that brings positions and no grids, is a token like any other.
    if (row.grids.length === 0) return;
    const places = visualPlaces(row.inputIds, config);
    const counts = row.grids.map((grid) => {
      mergedGrid(grid, visionConfig.spatialMergeSize);
      return visualTokens(grid, visionConfig.spatialMergeSize);
    });
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total !== places.length)
      throw new InvalidInputError(
        `the images and videos of a sequence have ${total} visual tokens, its ids have places for ${places.length}: expand the placeholders with the processor`,
      );
    let place = 0;
    counts.forEach((count, item) => {
      const first = row.featureStarts?.[item] ?? nextFeature;
      nextFeature = first + count;
      for (let feature = first; feature < nextFeature; feature++) {
        const at = start + places[place++]!;
        isVisual[at] = 1;
        visualIndex[at] = feature;
      }
    });
  });
  return {
    inputIds: tensor(inputIds, [batch, length]),
    isVisual: tensor(isVisual, [batch, length, 1]),
    visualIndex: tensor(visualIndex, [batch, length]),
    cos: tensor(cos, [batch, length, half]),
    sin: tensor(sin, [batch, length, half]),
  };
}

/** Where the visual tokens of each image and video of a row stand: from `start` up to `end`, in order. */
export function visualSpans(
  config: Qwen2_5_VLConfig,
  { inputIds, grids }: Pick<SequenceRow, 'inputIds' | 'grids'>,
): readonly { readonly start: number; readonly end: number }[] {
  const places = visualPlaces(inputIds, config);
  let taken = 0;
  return grids.map((grid) => {
    const count = visualTokens(grid, config.visionConfig.spatialMergeSize);
    const start = places[taken] ?? inputIds.length;
    taken += count;
    return { start, end: start + count };
  });
}

/** Where the image and video tokens are. */
function visualPlaces(ids: ArrayLike<number>, { imageTokenId, videoTokenId }: Qwen2_5_VLConfig): readonly number[] {
  const places: number[] = [];
  for (let at = 0; at < ids.length; at++) if (ids[at] === imageTokenId || ids[at] === videoTokenId) places.push(at);
  return places;
}

function checkIds(ids: ArrayLike<number>, vocabSize: number): void {
  for (let at = 0; at < ids.length; at++) {
    if (!(ids[at]! >= 0 && ids[at]! < vocabSize))
      throw new InvalidInputError(
        `token id ${ids[at]} at position ${at} is not in the vocabulary of ${vocabSize}: the tokenizer is of another model`,
      );
  }
}
