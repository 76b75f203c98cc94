import { type Op, applyOne } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { pairOf } from './pair.js';
import { type NoAttributes, defineBinary } from './elementwise.js';

/** y = a + b, broadcast. */
export const addOp: Op<NoAttributes> = defineBinary({
  name: 'add',
  compute: (a, b) => a + b,
  derivatives: (_a, _b, _y, dy) => [dy, dy],
});

export const add = (a: TensorLike, b: TensorLike): Tensor => applyOne(addOp, pairOf(a, b), {});
