/**
 * The value from which upwards the elements of a row hold a given mass: what top-k and top-p keep, without sorting.
 *
 * x and weights [rows, classes], mass [rows], all f32 → t [rows]:  t = max { t : Σ_{x_j ≥ t} w_j ≥ mass }.
 * With weights of 1 and mass k that is the k-th largest element; with weights e^x and mass p·Σe^x the smallest logit of the
 * nucleus. Elements equal to t are all at or above it. -Infinity where even all elements fall short, Infinity where the mass
 * is not positive. Weights are not negative; an x of NaN counts nowhere. No gradient.
 *
 * The sum falls as t grows, so t is found by bisection over the f32 numbers of one sign in order, which is the order of their
 * words: one sum for the sign and one for each of 31 bits, exact whatever the values. The loops sort instead.
 */
import { type Op, applyOne, full } from '../op.js';
import { add } from '../ops/add.js';
import { bitcast } from '../ops/bitcast.js';
import { greaterEqual, lessEqual } from '../ops/compare.js';
import type { NoAttributes } from '../ops/elementwise.js';
import { misfit } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';

/** The word of -Infinity. Going down from it, numbers rise to -0; past that, as past Infinity, words are NaN. */
const lowestWord = 0xff800000;

export const massThresholdOp: Op<NoAttributes> = {
  name: 'massThreshold',
  infer([x, weights, mass]) {
    const operands = { x: x!, weights: weights!, mass: mass! };
    const fits =
      Object.values(operands).every(({ dtype }) => dtype === 'f32') &&
      x!.shape.length === 2 &&
      sameShape(weights!.shape, x!.shape) &&
      sameShape(mass!.shape, x!.shape.slice(0, 1));
    if (!fits) throw misfit('massThreshold', operands, 'x and weights are f32 [rows, classes], mass is f32 [rows]');
    return [mass!];
  },
  decompose([x, weights, mass]) {
    const rows = x!.shape[0]!;
    const wanted = reshape(mass!, [rows, 1]);
    /** Whether enough lies at or above a threshold. Nothing does for NaN. */
    const suffices = (threshold: Tensor): Tensor =>
      greaterEqual(sum(select(greaterEqual(x!, threshold), weights!, 0), 1, true), wanted);
    const isPositive = suffices(full([rows, 1], 0));
    const numberAt = (position: Tensor): Tensor =>
      bitcast(select(isPositive, position, sub(lowestWord, position)), 'f32');
    let found = full([rows, 1], 0, 'u32');
    for (let bit = 30; bit >= 0; bit--) {
      const candidate = add(found, 2 ** bit);
      found = select(suffices(numberAt(candidate)), candidate, found);
    }
    return [reshape(select(lessEqual(wanted, 0), Infinity, numberAt(found)), [rows])];
  },
  reference({ inputs: [x, weights, mass], outputs: [y] }) {
    const classes = x!.shape[1]!;
    for (let row = 0; row < y!.data.length; row++) {
      const values = x!.data.subarray(row * classes, (row + 1) * classes);
      const falling = [...values.keys()]
        .filter((i) => values[i]! > -Infinity)
        .sort((a, b) => Number(values[b]! > values[a]!) - Number(values[b]! < values[a]!));
      y!.data[row] = mass!.data[row]! <= 0 ? Infinity : -Infinity;
      let above = 0;
      for (const [place, i] of falling.entries()) {
        if (mass!.data[row]! <= 0) break;
        above += weights!.data[row * classes + i]!;
        const next = falling[place + 1];
        const isLastOfEquals = next === undefined || values[next]! < values[i]!;
        if (isLastOfEquals && above >= mass!.data[row]!) {
          y!.data[row] = values[i]!;
          break;
        }
      }
    }
  },
  flops: ([x]) => 32 * 2 * sizeOf(x!.shape),
  stopsGradient: true,
};

export const massThreshold = (x: Tensor, weights: Tensor, mass: Tensor): Tensor =>
  applyOne(massThresholdOp, [x, weights, mass], {});
