import { type Op, applyOne } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { pairOf } from './pair.js';
import { type NoAttributes, defineBinary } from './elementwise.js';
import { mul } from './mul.js';
import { neg } from './neg.js';

/** y = a / b, broadcast; dy/db = -y/b. For f32: integers have no division here. */
export const divOp: Op<NoAttributes> = defineBinary({
  name: 'div',
  accepts: (dtype) => dtype === 'f32',
  compute: (a, b) => a / b,
  derivatives: (_a, b, y, dy) => [div(dy, b), neg(mul(dy, div(y, b)))],
});

export const div = (a: TensorLike, b: TensorLike): Tensor => applyOne(divOp, pairOf(a, b), {});
