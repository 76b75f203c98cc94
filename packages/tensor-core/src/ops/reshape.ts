import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';

interface ReshapeAttributes {
  readonly shape: readonly number[];
}

/** The same elements in row-major order under another shape. */
export const reshapeOp: Op<ReshapeAttributes> = {
  name: 'reshape',
  infer([x], { shape }) {
    if (sizeOf(shape) !== sizeOf(x!.shape)) {
      throw new ShapeError(
        `reshape: ${formatShape(x!.shape)} has ${sizeOf(x!.shape)} elements, ${formatShape(shape)} has ${sizeOf(shape)}`,
      );
    }
    return [{ shape, dtype: x!.dtype }];
  },
  reference({ inputs: [x], outputs: [y] }) {
    y!.data.set(x!.data);
  },
  view: () => 0,
  flops: () => 0,
  vjp: ({ inputs: [x], cotangents: [dy] }) => [reshape(dy!, x!.shape)],
};

/** @param shape one size may be -1: it is what the others leave. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const resolved = shape.map((size) => (size === -1 ? (known === 0 ? 0 : x.size / known) : size));
  return sameShape(resolved, x.shape) ? x : applyOne(reshapeOp, [x], { shape: resolved });
}
