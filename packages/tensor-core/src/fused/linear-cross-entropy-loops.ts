/**
 * The reference loops of the streamed head: one class after another, every row's state carried along in 64 bits.
 *
 * No logits are kept, forward or backward; the weight is decoded one row (one class) at a time.
 */
import { encoderOf } from '../dtype.js';
import type { HostTensor } from '../op.js';
import { rowReader } from '../quantize/weight-loops.js';
import {
  type HeadOperands,
  type LinearCrossEntropyAttributes,
  type LinearCrossEntropyBackwardAttributes,
  checkedLabel,
  gradientPlaces,
  separateBackward,
} from './linear-cross-entropy.js';

interface Sizes {
  readonly rows: number;
  readonly width: number;
  readonly classes: number;
}

const sizesOf = ({ x, weight }: HeadOperands<HostTensor>): Sizes => ({
  rows: x.shape[0]!,
  width: x.shape[1]!,
  classes: weight[0]!.shape[0]!,
});

/** Calls `visit` with each class, its weights, and a function to the logit of a row. */
function forEachClass(
  head: HeadOperands<HostTensor>,
  { format, temperature }: LinearCrossEntropyAttributes,
  visit: (label: number, weights: Float64Array, logitOf: (row: number) => number) => void,
): void {
  const { width, classes } = sizesOf(head);
  const { x, bias } = head;
  const readRow = rowReader(head.weight, format);
  const weights = new Float64Array(width);
  for (let label = 0; label < classes; label++) {
    readRow(label, weights);
    const start = bias ? bias.data[label]! : 0;
    visit(label, weights, (row) => {
      let total = start;
      for (let i = 0; i < width; i++) total += x.data[row * width + i]! * weights[i]!;
      return total / temperature;
    });
  }
}

export function forwardLoops(
  head: HeadOperands<HostTensor>,
  [loss, logSumExp, entropy]: readonly HostTensor[],
  attributes: LinearCrossEntropyAttributes,
): void {
  const { rows, classes } = sizesOf(head);
  const labels = head.labels.data;
  const largest = new Float64Array(rows).fill(-Infinity);
  const total = new Float64Array(rows);
  const spread = new Float64Array(rows); // Σ e^(z − largest)·(z − largest)
  const target = new Float64Array(rows);
  for (const label of labels) checkedLabel(label, classes, attributes.ignoredLabel);
  forEachClass(head, attributes, (label, _weights, logitOf) => {
    for (let row = 0; row < rows; row++) {
      const z = logitOf(row);
      if (labels[row] === label) target[row] = z;
      if (z === -Infinity) continue;
      if (z > largest[row]!) {
        const shift = largest[row]! - z;
        const factor = Math.exp(shift);
        spread[row] = total[row] === 0 ? 0 : factor * (spread[row]! + total[row]! * shift);
        total[row] = total[row]! * factor + 1;
        largest[row] = z;
      } else {
        const relative = z - largest[row]!;
        total[row]! += Math.exp(relative);
        spread[row]! += Math.exp(relative) * relative;
      }
    }
  });
  for (let row = 0; row < rows; row++) {
    const logTotal = Math.log(total[row]!);
    logSumExp!.data[row] = logTotal + largest[row]!;
    if (labels[row] !== attributes.ignoredLabel) loss!.data[row] = logTotal + largest[row]! - target[row]!;
    if (entropy) entropy.data[row] = logTotal - spread[row]! / total[row]!;
  }
}

export function backwardLoops(
  operands: readonly HostTensor[],
  gradients: readonly HostTensor[],
  attributes: LinearCrossEntropyBackwardAttributes,
): void {
  const { forward, needed } = attributes;
  const head = separateBackward(operands, attributes);
  const { rows, width } = sizesOf(head);
  const { x, labels, logSumExp, entropy, cotangents } = head;
  const places = gradientPlaces(forward);
  const gradientOf = (place: number | undefined): HostTensor | undefined =>
    place === undefined ? undefined : gradients[needed.indexOf(place)];
  const [dx, dWeight, dBias] = [gradientOf(places.x), gradientOf(places.weight), gradientOf(places.bias)];
  const cotangent = (output: number, row: number): number => cotangents.data[output * rows + row]!;
  const xTotals = new Float64Array(dx ? rows * width : 0);
  const weightTotals = new Float64Array(dWeight ? width : 0);
  const encode = encoderOf(dWeight?.dtype ?? 'f32');
  forEachClass(head, forward, (label, weights, logitOf) => {
    let biasTotal = 0;
    weightTotals.fill(0);
    for (let row = 0; row < rows; row++) {
      const z = logitOf(row);
      const fromLoss = labels.data[row] === forward.ignoredLabel ? 0 : cotangent(0, row);
      const p = Math.exp(z - logSumExp.data[row]!);
      let flow = fromLoss + cotangent(1, row);
      if (entropy && p > 0) flow -= cotangent(2, row) * (z - logSumExp.data[row]! + entropy.data[row]!);
      const dz = (p * flow - (labels.data[row] === label ? fromLoss : 0)) / forward.temperature;
      biasTotal += dz;
      if (dx) for (let i = 0; i < width; i++) xTotals[row * width + i]! += dz * weights[i]!;
      if (dWeight) for (let i = 0; i < width; i++) weightTotals[i]! += dz * x.data[row * width + i]!;
    }
    if (dWeight) for (let i = 0; i < width; i++) dWeight.data[label * width + i] = encode(weightTotals[i]!);
    if (dBias) dBias.data[label] = biasTotal;
  });
  dx?.data.set(xTotals);
}
