import { type Op, applyOne } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { pairOf } from './pair.js';
import { type NoAttributes, defineBinary } from './elementwise.js';
import { neg } from './neg.js';

/** y = a - b, broadcast. */
export const subOp: Op<NoAttributes> = defineBinary({
  name: 'sub',
  compute: (a, b) => a - b,
  derivatives: (_a, _b, _y, dy) => [dy, neg(dy)],
});

export const sub = (a: TensorLike, b: TensorLike): Tensor => applyOne(subOp, pairOf(a, b), {});
