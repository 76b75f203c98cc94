import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { mul } from './mul.js';

/** y = e^x; dy/dx = y. */
export const expOp: Op<NoAttributes> = defineUnary({
  name: 'exp',
  compute: Math.exp,
  derivative: (_x, y, dy) => mul(dy, y),
});

export const exp = (x: Tensor): Tensor => applyOne(expOp, [x], {});
