import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { broadcastShapes, broadcastStrides, formatShape, sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { sumToShape } from './elementwise.js';
import { forEachStrided } from './strided.js';

interface BroadcastAttributes {
  readonly shape: readonly number[];
}

/** x repeated along missing axes and axes of size 1 until it has `shape` (torch.broadcast_to). */
export const broadcastToOp: Op<BroadcastAttributes> = {
  name: 'broadcastTo',
  infer([x], { shape }) {
    if (!sameShape(broadcastShapes(x!.shape, shape, 'broadcastTo'), shape)) {
      throw new ShapeError(`broadcastTo: ${formatShape(x!.shape)} does not stretch to ${formatShape(shape)}`);
    }
    return [{ shape, dtype: x!.dtype }];
  },
  reference({ inputs: [x], outputs: [y] }) {
    const [from, to] = [x!.data, y!.data];
    forEachStrided(y!.shape, broadcastStrides(x!.shape, y!.shape), 0, (i, offset) => {
      to[i] = from[offset]!;
    });
  },
  view: ([x], { shape }) => (sizeOf(x!.shape) === sizeOf(shape) ? 0 : undefined),
  flops: () => 0,
  vjp: ({ inputs: [x], cotangents: [dy] }) => [sumToShape(dy!, x!.shape)],
};

export const broadcastTo = (x: Tensor, shape: readonly number[]): Tensor =>
  sameShape(x.shape, shape) ? x : applyOne(broadcastToOp, [x], { shape: [...shape] });
