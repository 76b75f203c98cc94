/**
 * Cross entropy of softmax(logits) against class labels, per row (torch.nn.functional.cross_entropy, reduction "none").
 *
 * logits [n, classes], labels i32 [n] → loss [n] = log Σ_j e^(logit_j) − logit_label. A label of -100 is ignored: loss
 * and gradient 0. Backward: dlogits = (softmax(logits) − onehot(label))·dloss.
 */
import { applyOne } from '../op.js';
import { add } from '../ops/add.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { equal } from '../ops/compare.js';
import type { NoAttributes } from '../ops/elementwise.js';
import { exp } from '../ops/exp.js';
import { arange } from '../ops/iota.js';
import { log } from '../ops/log.js';
import { max } from '../ops/max.js';
import { misfit } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import type { HostArray } from '../dtype.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

/** The label of rows without a target. */
export const ignoredLabel = -100;

function logSumExp(logits: HostArray, start: number, classes: number): number {
  let largest = -Infinity;
  for (let i = 0; i < classes; i++) largest = Math.max(largest, logits[start + i]!);
  let total = 0;
  for (let i = 0; i < classes; i++) total += Math.exp(logits[start + i]! - largest);
  return largest + Math.log(total);
}

function checkLabel(label: number, classes: number): void {
  if (label !== ignoredLabel && (label < 0 || label >= classes))
    throw new RangeError(
      `softmaxCrossEntropy: label ${label} is not one of the ${classes} classes; use ${ignoredLabel} to ignore a row`,
    );
}

export const softmaxCrossEntropyPair: FusedPair<NoAttributes> = defineFused<NoAttributes>({
  name: 'softmaxCrossEntropy',
  infer([logits, labels]) {
    const fits =
      logits!.dtype === 'f32' &&
      logits!.shape.length === 2 &&
      labels!.dtype === 'i32' &&
      sameShape(labels!.shape, logits!.shape.slice(0, 1));
    if (!fits)
      throw misfit(
        'softmaxCrossEntropy',
        { logits: logits!, labels: labels! },
        'logits are f32 [n, classes] and labels i32 [n]',
      );
    return [{ shape: labels!.shape, dtype: 'f32' }];
  },
  decompose([logits, labels]) {
    const [rows, classes] = logits!.shape as [number, number];
    const largest = stopGradient(max(logits!, -1, true));
    const normalizer = add(log(sum(exp(sub(logits!, largest)), -1)), reshape(largest, [rows]));
    const isTarget = equal(reshape(labels!, [rows, 1]), broadcastTo(arange(classes), [rows, classes]));
    const target = sum(select(isTarget, logits!, 0), -1);
    return [select(equal(labels!, ignoredLabel), 0, sub(normalizer, target))];
  },
  reference({ inputs: [logits, labels], outputs: [loss] }) {
    const classes = logits!.shape[1]!;
    labels!.data.forEach((label: number, row: number) => {
      checkLabel(label, classes);
      if (label === ignoredLabel) return;
      loss!.data[row] = logSumExp(logits!.data, row * classes, classes) - logits!.data[row * classes + label]!;
    });
  },
  backward({ inputs: [logits, labels], cotangent, gradients: [dlogits] }) {
    const classes = logits!.shape[1]!;
    labels!.data.forEach((label: number, row: number) => {
      checkLabel(label, classes);
      const start = row * classes;
      if (label === ignoredLabel) return void dlogits!.data.fill(0, start, start + classes);
      const normalizer = logSumExp(logits!.data, start, classes);
      const weight = cotangent.data[row]!;
      for (let i = 0; i < classes; i++)
        dlogits!.data[start + i] = weight * Math.exp(logits!.data[start + i]! - normalizer);
      dlogits!.data[start + label]! -= weight;
    });
  },
  // Row by row: the normaliser is taken before the row is written.
  backwardOverwrites: () => [{ output: 0, input: 0 }],
  guard: {
    operands: [1],
    check({ inputs: [logits], data: [labels] }) {
      for (const label of labels!) checkLabel(label, logits!.shape[1]!);
    },
  },
  flops: ([logits]) => 4 * sizeOf(logits!.shape),
  backwardFlops: ([logits]) => 7 * sizeOf(logits!.shape),
});

export const softmaxCrossEntropy = (logits: Tensor, labels: Tensor): Tensor =>
  applyOne(softmaxCrossEntropyPair.forward, [logits, labels], {});
