/**
 * Token sequences as run-time operands of the language model: ids, where visual tokens go, and rotary tables.
 *
 * Rows of a batch are padded with id 0: on the right for training, where under a causal mask no real token sees the padding;
 * on the left for generation, where all rows then end together and a mask has to hide the padding.
 */
import { type Tensor, tensor } from '@mindseye/tensor-core';
import { InvalidInputError } from '../errors.js';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { type GridThw, ropeIndex } from './rope-index.js';
import { languageRotary } from './rotary.js';

export interface SequenceRow {
  readonly inputIds: ArrayLike<number>;
  /** Patch grid of each image and video, in the order of the prompt. Which it is, the token ids say. */
  readonly grids: readonly GridThw[];
  /** Seconds from one temporal patch to the next of the video at the same place in `grids`; not read for images. */
  readonly secondsPerGrid?: readonly (number | undefined)[];
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

/** Visual tokens of an image: one per 2×2 block of patches. */
export const visualTokens = ([frames, rows, columns]: GridThw, spatialMergeSize: number): number =>
  (frames * rows * columns) / spatialMergeSize ** 2;

/**
 * @param length pad rows to this; the longest row when left out.
 * @param side where the padding goes.
 */
export function sequenceOperands(
  config: Qwen2_5_VLConfig,
  rows: readonly SequenceRow[],
  length: number = Math.max(...rows.map((row) => row.inputIds.length)),
  side: 'left' | 'right' = 'right',
): SequenceOperands {
  const { textConfig, visionConfig, imageTokenId } = config;
  const half = textConfig.headDim / 2;
  const batch = rows.length;
  const inputIds = new Int32Array(batch * length);
  const isVisual = new Uint8Array(batch * length);
  const visualIndex = new Int32Array(batch * length);
  const cos = new Float32Array(batch * length * half);
  const sin = new Float32Array(batch * length * half);
  let nextFeature = 0;
  rows.forEach((row, b) => {
    if (row.inputIds.length > length)
      throw new InvalidInputError(
        `a sequence of ${row.inputIds.length} tokens does not fit the length of ${length}: shorten it or raise the length`,
      );
    checkIds(row.inputIds, textConfig.vocabSize);
    const start = b * length + (side === 'left' ? length - row.inputIds.length : 0);
    inputIds.set(Array.from(row.inputIds), start);
    const places = row.grids.flatMap((grid, image) => {
      const count = visualTokens(grid, visionConfig.spatialMergeSize);
      const first = row.featureStarts?.[image] ?? nextFeature;
      nextFeature = first + count;
      return Array.from({ length: count }, (_, i) => first + i);
    });
    const positions =
      row.positions ?? ropeIndex(row.inputIds, row.grids, config, visionConfig.spatialMergeSize).positions;
    let place = 0;
    for (let at = 0; at < row.inputIds.length; at++) {
      if (row.inputIds[at] !== imageTokenId) continue;
      isVisual[start + at] = 1;
      visualIndex[start + at] = places[place++]!;
    }
    const tables = languageRotary(textConfig, positions);
    cos.set(tables.cos, start * half);
    sin.set(tables.sin, start * half);
  });
  return {
    inputIds: tensor(inputIds, [batch, length]),
    isVisual: tensor(isVisual, [batch, length, 1]),
    visualIndex: tensor(visualIndex, [batch, length]),
    cos: tensor(cos, [batch, length, half]),
    sin: tensor(sin, [batch, length, half]),
  };
}

function checkIds(ids: ArrayLike<number>, vocabSize: number): void {
  for (let at = 0; at < ids.length; at++) {
    if (!(ids[at]! >= 0 && ids[at]! < vocabSize))
      throw new InvalidInputError(
        `token id ${ids[at]} at position ${at} is not in the vocabulary of ${vocabSize}: the tokenizer is of another model`,
      );
  }
}
