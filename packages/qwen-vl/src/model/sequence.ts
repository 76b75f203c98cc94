/**
 * Token sequences as run-time operands of the language model: ids, where visual tokens go, and rotary tables.
 *
 * Rows of a batch are padded on the right with id 0; under a causal mask no real token sees the padding.
 */
import { type Tensor, tensor } from '@mindseye/tensor-core';
import { InvalidInputError } from '../errors.js';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { type GridThw, ropeIndex } from './rope-index.js';
import { languageRotary } from './rotary.js';

export interface SequenceRow {
  readonly inputIds: ArrayLike<number>;
  /** Patch grid of each image, in the order of the prompt. */
  readonly grids: readonly GridThw[];
  /** First row of each image in the table of visual tokens; images follow one another from row 0 when left out. */
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

/** @param length pad rows to this; the longest row when left out. */
export function sequenceOperands(
  config: Qwen2_5_VLConfig,
  rows: readonly SequenceRow[],
  length: number = Math.max(...rows.map((row) => row.inputIds.length)),
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
    inputIds.set(Array.from(row.inputIds), b * length);
    const places = row.grids.flatMap((grid, image) => {
      const count = visualTokens(grid, visionConfig.spatialMergeSize);
      const start = row.featureStarts?.[image] ?? nextFeature;
      nextFeature = start + count;
      return Array.from({ length: count }, (_, i) => start + i);
    });
    const positions =
      row.positions ?? ropeIndex(row.inputIds, row.grids, config, visionConfig.spatialMergeSize).positions;
    let place = 0;
    for (let at = 0; at < row.inputIds.length; at++) {
      if (row.inputIds[at] !== imageTokenId) continue;
      isVisual[b * length + at] = 1;
      visualIndex[b * length + at] = places[place++]!;
    }
    const tables = languageRotary(textConfig, positions);
    cos.set(tables.cos, b * length * half);
    sin.set(tables.sin, b * length * half);
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
