/**
 * A batch of training examples as run-time operands.
 *
 * Rows are padded on the right to a multiple of `lengthStep`, label lists likewise, so that a run has few signatures to
 * compile. Only the rows of the hidden states that predict a label are sent through the output head.
 */
import {
  type Qwen2_5_VLConfig,
  type SequenceOperands,
  type VisionBatch,
  type VisionItem,
  sequenceOperands,
  visionBatches,
  visualTokens,
} from '@mindseye/qwen-vl';
import { type Tensor, ignoredLabel, tensor } from '@mindseye/tensor-core';
import type { LatentSequence } from '../sequence.js';

const lengthStep = 8;

export interface TrainingExample {
  readonly id: string;
  readonly sequence: LatentSequence;
  readonly images: readonly VisionItem[];
}

export interface BatchOperands {
  readonly sequence: SequenceOperands;
  /** i32 [B, S] */
  readonly roles: Tensor;
  /** i32 [n]: row b·S + p − 1 of the hidden state that predicts the label at position p of row b. */
  readonly predictors: Tensor;
  /** i32 [n]; `ignoredLabel` in the padding of the list. */
  readonly labels: Tensor;
  /** 1 / what the summed loss is divided by, a scalar. */
  readonly lossScale: Tensor;
  /** Visual tokens [rows, hidden] where vision is frozen … */
  readonly features: Tensor | null;
  /** … and the images themselves where it is trained. */
  readonly images: readonly VisionBatch[];
}

/** Number of labelled tokens. */
export const labelCount = ({ sequence }: TrainingExample): number =>
  sequence.labels.reduce((count, label) => count + Number(label !== ignoredLabel), 0);

const roundUp = (length: number): number => Math.ceil(length / lengthStep) * lengthStep;

/**
 * @param divisor of the summed loss: the labelled tokens of the whole optimiser step that this batch is part of, as a rule
 * @param features visual tokens of each example, row-major [tokens, hidden]; the images are used when left out, and only then
 */
export function batchOperands(
  config: Qwen2_5_VLConfig,
  examples: readonly TrainingExample[],
  divisor: number,
  features?: readonly Float32Array[],
): BatchOperands {
  const { batches, featureStarts } = features
    ? { batches: [], featureStarts: startsInOrder(config, examples) }
    : visionBatches(
        config.visionConfig,
        examples.flatMap(({ images }) => images),
      );
  let item = 0;
  const length = roundUp(Math.max(...examples.map(({ sequence }) => sequence.inputIds.length)));
  const sequence = sequenceOperands(
    config,
    examples.map(({ sequence: { inputIds, grids, secondsPerGrid } }) => ({
      inputIds,
      grids,
      ...(secondsPerGrid && { secondsPerGrid }),
      featureStarts: grids.map(() => featureStarts[item++]!),
    })),
    length,
  );

  const roles = new Int32Array(examples.length * length);
  const predictors: number[] = [];
  const labels: number[] = [];
  examples.forEach(({ sequence: { roles: own, labels: targets } }, b) => {
    roles.set(own, b * length);
    targets.forEach((label, at) => {
      if (label === ignoredLabel) return;
      predictors.push(b * length + at - 1);
      labels.push(label);
    });
  });
  const padded = (list: readonly number[], filler: number): Tensor =>
    tensor(Int32Array.from({ length: roundUp(list.length) }, (_, i) => list[i] ?? filler));
  const rows = (features ?? []).reduce((total, part) => total + part.length, 0) / config.textConfig.hiddenSize;
  return {
    sequence,
    roles: tensor(roles, [examples.length, length]),
    predictors: padded(predictors, 0),
    labels: padded(labels, ignoredLabel),
    lossScale: tensor(1 / divisor),
    features: features && rows > 0 ? tensor(joined(features), [rows, config.textConfig.hiddenSize]) : null,
    images: batches,
  };
}

/** First rows of all images where their visual tokens follow one another in the order of the examples. */
function startsInOrder({ visionConfig }: Qwen2_5_VLConfig, examples: readonly TrainingExample[]): number[] {
  let row = 0;
  return examples.flatMap(({ sequence: { grids } }) =>
    grids.map((grid) => {
      const start = row;
      row += visualTokens(grid, visionConfig.spatialMergeSize);
      return start;
    }),
  );
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
