import { type Op, applyOne } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { pairOf } from './pair.js';
import { type NoAttributes, defineBinary } from './elementwise.js';

/** y = a · b, broadcast. */
export const mulOp: Op<NoAttributes> = defineBinary({
  name: 'mul',
  compute: (a, b) => a * b,
  computeWhole: Math.imul,
  derivatives: (a, b, _y, dy) => [mul(dy, b), mul(dy, a)],
});

export const mul = (a: TensorLike, b: TensorLike): Tensor => applyOne(mulOp, pairOf(a, b), {});
