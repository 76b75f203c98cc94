import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, normalizeAxis, sizeOf, stridesOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { forEachStrided } from './strided.js';

interface PermuteAttributes {
  readonly axes: readonly number[];
}

/** y has the axes of x in another order: y.shape[i] = x.shape[axes[i]] (torch.permute). */
export const permuteOp: Op<PermuteAttributes> = {
  name: 'permute',
  infer([x], { axes }) {
    if (axes.length !== x!.shape.length || new Set(axes).size !== axes.length) {
      throw new ShapeError(
        `permute: [${axes.join(', ')}] is not an order of the ${x!.shape.length} axes of ${formatShape(x!.shape)}`,
      );
    }
    return [{ shape: axes.map((axis) => x!.shape[axis]!), dtype: x!.dtype }];
  },
  reference({ inputs: [x], outputs: [y], attributes: { axes } }) {
    const strides = stridesOf(x!.shape);
    const [from, to] = [x!.data, y!.data];
    forEachStrided(
      y!.shape,
      axes.map((axis) => strides[axis]!),
      0,
      (i, offset) => {
        to[i] = from[offset]!;
      },
    );
  },
  view: ([x], { axes }) => {
    const moved = axes.filter((axis) => x!.shape[axis] !== 1);
    return sizeOf(x!.shape) === 0 || moved.every((axis, i) => i === 0 || axis > moved[i - 1]!) ? 0 : undefined;
  },
  flops: () => 0,
  vjp({ cotangents: [dy], attributes: { axes } }) {
    const inverse = axes.map((_, axis) => axes.indexOf(axis));
    return [permute(dy!, inverse)];
  },
};

export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const order = axes.map((axis) => normalizeAxis(axis, x.rank, 'permute'));
  return order.every((axis, i) => axis === i) && order.length === x.rank
    ? x
    : applyOne(permuteOp, [x], { axes: order });
}

/** Swaps two axes (torch.transpose); the last two by default. */
export function transpose(x: Tensor, first = -2, second = -1): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  const [a, b] = [normalizeAxis(first, x.rank, 'transpose'), normalizeAxis(second, x.rank, 'transpose')];
  [axes[a], axes[b]] = [b, a];
  return permute(x, axes);
}
