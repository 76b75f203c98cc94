/**
 * Linear layers whose weight (or input) is read in pieces of rows, for devices that cannot bind the whole of it.
 *
 *   y = x·Wᵀ + b:  rows of W give columns of y, so pieces are put side by side.
 *   y = x·W:       rows of W meet columns of x, so pieces add up.
 * Pieces of x along its first axis give pieces of y along its first axis.
 */
import { ShapeError } from '../errors.js';
import { add } from '../ops/add.js';
import { concat } from '../ops/concat.js';
import { slice } from '../ops/slice.js';
import { type Weight, cutRows } from '../quantize/quantized-tensor.js';
import { formatShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { linear } from './linear.js';
import { linearTransposed } from './linear-transposed.js';

export interface SplitLinear {
  readonly x: Tensor;
  readonly weight: Weight;
  readonly bias?: Tensor | undefined;
  /** y = x·W instead of x·Wᵀ. */
  readonly transposed: boolean;
  /** Cut x along its first axis instead of the weight along its rows. */
  readonly splitsX: boolean;
  readonly boundaries: readonly number[];
}

export function splitLinear({ x, weight, bias, transposed, splitsX, boundaries }: SplitLinear): Tensor {
  const product = (left: Tensor, right: Weight, vector?: Tensor): Tensor =>
    transposed ? linearTransposed(left, right) : linear(left, right, vector);
  if (splitsX) {
    if (x.rank < 2)
      throw new ShapeError(`linear: one vector ${formatShape(x.shape)} cannot be read in parts: reshape it to rows`);
    const stacked = cutRows(x, boundaries).map(({ piece }) => product(piece, weight, bias));
    return concat(stacked, 0);
  }
  const pieces = cutRows(weight, boundaries);
  if (transposed) {
    const parts = pieces.map(({ from, to, piece }) => product(slice(x, -1, from, to), piece));
    return parts.reduce((total, part) => add(total, part));
  }
  const columns = pieces.map(({ from, to, piece }) => product(x, piece, bias && slice(bias, 0, from, to)));
  return concat(columns, -1);
}
