/**
 * Softmax over the last axis: y_i = e^(x_i − max x) / Σ_j e^(x_j − max x).
 *
 * A row of only -Infinity gives zeros, so that a query with no visible key contributes nothing.
 * Backward: dx = y∘(dy − Σ_j y_j·dy_j).
 */
import { ShapeError } from '../errors.js';
import { applyOne, requireF32 } from '../op.js';
import { div } from '../ops/div.js';
import { equal } from '../ops/compare.js';
import { exp } from '../ops/exp.js';
import { max } from '../ops/max.js';
import { select } from '../ops/select.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import { type NoAttributes, overwritesElements } from '../ops/elementwise.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

export const softmaxPair: FusedPair<NoAttributes> = defineFused<NoAttributes>({
  name: 'softmax',
  infer([x]) {
    requireF32('softmax', [x]);
    if (x!.shape.length === 0) throw new ShapeError('softmax needs a last axis, got a scalar');
    return [x!];
  },
  decompose([x]) {
    const largest = stopGradient(max(x!, -1, true));
    const hidden = equal(largest, -Infinity);
    const shifted = exp(sub(x!, select(hidden, 0, largest)));
    const total = sum(shifted, -1, true);
    return [div(shifted, select(hidden, 1, total))];
  },
  reference({ inputs: [x], outputs: [y] }) {
    const width = x!.shape.at(-1) ?? 1;
    const [from, to] = [x!.data, y!.data];
    for (let start = 0; start < from.length; start += width) {
      let largest = -Infinity;
      for (let i = 0; i < width; i++) largest = Math.max(largest, from[start + i]!);
      if (largest === -Infinity) {
        to.fill(0, start, start + width);
        continue;
      }
      let total = 0;
      for (let i = 0; i < width; i++) total += to[start + i] = Math.exp(from[start + i]! - largest);
      for (let i = 0; i < width; i++) to[start + i]! /= total;
    }
  },
  // Row by row: sums are taken before the row is written.
  overwrites: () => [{ output: 0, input: 0 }],
  backwardOverwrites: (operands) => overwritesElements(operands, operands[0]!),
  flops: ([x]) => 5 * sizeOf(x!.shape),
  backwardFlops: ([x]) => 4 * sizeOf(x!.shape),
  backward({ inputs: [x], outputs: [y], cotangent, gradients: [dx] }) {
    const width = x!.shape.at(-1) ?? 1;
    const [probability, dy] = [y!.data, cotangent.data];
    for (let start = 0; start < dy.length; start += width) {
      let mean = 0;
      for (let i = 0; i < width; i++) mean += probability[start + i]! * dy[start + i]!;
      for (let i = 0; i < width; i++) dx!.data[start + i] = probability[start + i]! * (dy[start + i]! - mean);
    }
  },
});

export const softmax = (x: Tensor): Tensor => applyOne(softmaxPair.forward, [x], {});
