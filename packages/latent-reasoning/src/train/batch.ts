/**
 * A batch of training examples as run-time operands.
 *
 * Rows are padded on the right to a multiple of `lengthStep`, label lists likewise, so that a run has few signatures to
 * compile. Only the rows of the hidden states that predict a label are sent through the output head.
 */
import {
  type VisionItem,
  type Qwen2_5_VLConfig,
  type SequenceOperands,
  type VisionOperands,
  sequenceOperands,
  visionOperands,
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

/** Images of one patch grid, to be run through a vision tower in training. */
export interface ImageGroup {
  /** [images, patches, C·T·P·P] */
  readonly pixelValues: Tensor;
  readonly operands: VisionOperands;
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
  readonly images: readonly ImageGroup[];
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
  const merge = config.visionConfig.spatialMergeSize;
  const hidden = config.textConfig.hiddenSize;
  const { groups, starts } = features ? { groups: [], starts: [] } : groupImages(config, examples);
  let row = 0;
  const featureStarts = examples.map(({ sequence: { grids } }) =>
    grids.map((grid) => (row += visualTokens(grid, merge)) - visualTokens(grid, merge)),
  );
  const length = roundUp(Math.max(...examples.map(({ sequence }) => sequence.inputIds.length)));
  const sequence = sequenceOperands(
    config,
    examples.map(({ sequence: { inputIds, grids } }, i) => ({
      inputIds,
      grids,
      featureStarts: features ? featureStarts[i]! : starts[i]!,
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
  return {
    sequence,
    roles: tensor(roles, [examples.length, length]),
    predictors: padded(predictors, 0),
    labels: padded(labels, ignoredLabel),
    lossScale: tensor(1 / divisor),
    features: features && row > 0 ? tensor(joined(features), [row, hidden]) : null,
    images: groups,
  };
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

/** Images gathered by patch grid, and for each example the first row of each image once the groups' tokens follow one another. */
function groupImages(
  config: Qwen2_5_VLConfig,
  examples: readonly TrainingExample[],
): { readonly groups: readonly ImageGroup[]; readonly starts: readonly (readonly number[])[] } {
  const byGrid = new Map<string, VisionItem[]>();
  for (const { images } of examples) {
    for (const image of images) byGrid.set(image.grid.join(), [...(byGrid.get(image.grid.join()) ?? []), image]);
  }
  const startOf = new Map<VisionItem, number[]>();
  let row = 0;
  const groups = [...byGrid.values()].map((images) => {
    const { grid } = images[0]!;
    const patches = grid[0] * grid[1] * grid[2];
    for (const image of images) {
      startOf.set(image, [...(startOf.get(image) ?? []), row]);
      row += visualTokens(grid, config.visionConfig.spatialMergeSize);
    }
    return {
      pixelValues: tensor(joined(images.map(({ pixelValues }) => pixelValues)), [
        images.length,
        patches,
        images[0]!.pixelValues.length / patches,
      ]),
      operands: visionOperands(config.visionConfig, grid, images.length),
    };
  });
  // An image object used twice has two places; examples take them in order.
  const starts = examples.map(({ images }) => images.map((image) => startOf.get(image)!.shift()!));
  return { groups, starts };
}
