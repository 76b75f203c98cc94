import { type Op, applyOne } from '../op.js';
import { ShapeError } from '../errors.js';
import { broadcastStrides, formatShape, normalizeAxes, reducedShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { broadcastTo } from './broadcast-to.js';
import { div } from './div.js';
import { isNumeric } from './elementwise.js';
import { reshape } from './reshape.js';
import { forEachStrided } from './strided.js';

export interface ReduceAttributes {
  readonly axes: readonly number[];
  readonly keepDimensions: boolean;
}

/** Sum over `axes`, accumulated in 64 bits. An empty sum is 0. */
export const sumOp: Op<ReduceAttributes> = {
  name: 'sum',
  infer([x], { axes, keepDimensions }) {
    if (!isNumeric(x!.dtype))
      throw new ShapeError(`sum does not add ${x!.dtype} (shape ${formatShape(x!.shape)}): cast it first`);
    return [{ shape: reducedShape(x!.shape, axes, keepDimensions), dtype: x!.dtype }];
  },
  reference({ inputs: [x], outputs: [y], attributes: { axes } }) {
    const totals = new Float64Array(y!.data.length);
    const from = x!.data;
    forEachReduced(x!.shape, axes, (i, target) => {
      totals[target]! += from[i]!;
    });
    y!.data.set(totals);
  },
  flops: ([x]) => sizeOf(x!.shape),
  vjp: ({ inputs: [x], cotangents: [dy], attributes: { axes } }) => [expandReduced(dy!, x!.shape, axes)],
};

/** Calls `visit(i, target)` for every element i of an array of `shape`, with the element of the reduced array it goes to. */
export function forEachReduced(
  shape: readonly number[],
  axes: readonly number[],
  visit: (index: number, target: number) => void,
): void {
  const kept = reducedShape(shape, axes, true);
  forEachStrided(shape, broadcastStrides(kept, shape), 0, visit);
}

/** A reduced tensor stretched back to `shape`. */
export const expandReduced = (reduced: Tensor, shape: readonly number[], axes: readonly number[]): Tensor =>
  broadcastTo(reshape(reduced, reducedShape(shape, axes, true)), shape);

export function sum(x: Tensor, axes?: number | readonly number[], keepDimensions = false): Tensor {
  return applyOne(sumOp, [x], { axes: normalizeAxes(axes, x.rank, 'sum'), keepDimensions });
}

export function mean(x: Tensor, axes?: number | readonly number[], keepDimensions = false): Tensor {
  const count = normalizeAxes(axes, x.rank, 'mean').reduce((product, axis) => product * x.shape[axis]!, 1);
  return div(sum(x, axes, keepDimensions), count);
}
