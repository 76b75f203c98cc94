/**
 * The answer-only loss: −Σ log P(label) / labelled tokens of the optimiser step.
 *
 * Hidden states that predict a label are gathered first, so the output head runs on them alone.
 */
import { type ModelContext, embedTokens, headForward, languageForward, visionForward } from '@mindseye/qwen-vl';
import { type Tensor, concat, gather, mul, reshape, softmaxCrossEntropy, sum } from '@mindseye/tensor-core';
import { type MaskName, maskTable } from '../roles.js';
import type { BatchOperands } from './batch.js';

/** Visual tokens [rows, hidden] of a batch: cached features, or the images through the tower. */
function visualRows(context: ModelContext, { features, images }: BatchOperands): Tensor | null {
  if (features || images.length === 0) return features;
  return concat(
    images.map(({ pixelValues, operands }) =>
      reshape(visionForward(context, pixelValues, operands).tokens, [-1, context.config.textConfig.hiddenSize]),
    ),
    0,
  );
}

/** Final hidden states [B, S, hidden] of a batch. */
export function batchHidden(context: ModelContext, batch: BatchOperands, mask: MaskName): Tensor {
  const rows = visualRows(context, batch);
  const { inputIds, isVisual, visualIndex, cos, sin } = batch.sequence;
  const inputsEmbeds = embedTokens(context, inputIds, rows ? { rows, where: isVisual, index: visualIndex } : undefined);
  return languageForward(context, { inputsEmbeds, cos, sin, mask: maskTable[mask](batch.roles) }).hidden;
}

/** The batch's share of the step's loss, a scalar. */
export function answerLoss(context: ModelContext, batch: BatchOperands, mask: MaskName): Tensor {
  const hidden = batchHidden(context, batch, mask);
  const predictors = gather(reshape(hidden, [-1, hidden.shape[2]!]), batch.predictors);
  return mul(sum(softmaxCrossEntropy(headForward(context, predictors), batch.labels)), batch.lossScale);
}
