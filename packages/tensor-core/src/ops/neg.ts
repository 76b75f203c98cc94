import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';

/** y = -x; dy/dx = -1. */
export const negOp: Op<NoAttributes> = defineUnary({
  name: 'neg',
  compute: (x) => -x,
  accepts: (dtype) => dtype === 'f32' || dtype === 'i32',
  derivative: (_x, _y, dy) => neg(dy),
});

export const neg = (x: Tensor): Tensor => applyOne(negOp, [x], {});
