import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { mul } from './mul.js';
import { sub } from './sub.js';

/** y = 1/(1 + e^-x), without overflow on either side; dy/dx = y(1 - y). */
export const sigmoidOp: Op<NoAttributes> = defineUnary({
  name: 'sigmoid',
  compute: (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  derivative: (_x, y, dy) => mul(dy, mul(y, sub(1, y))),
});

export const sigmoid = (x: Tensor): Tensor => applyOne(sigmoidOp, [x], {});
