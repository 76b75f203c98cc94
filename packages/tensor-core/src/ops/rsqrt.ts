import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { div } from './div.js';
import { mul } from './mul.js';

/** y = 1/√x; dy/dx = -y/(2x). */
export const rsqrtOp: Op<NoAttributes> = defineUnary({
  name: 'rsqrt',
  compute: (x) => 1 / Math.sqrt(x),
  derivative: (x, y, dy) => mul(mul(dy, -0.5), div(y, x)),
});

export const rsqrt = (x: Tensor): Tensor => applyOne(rsqrtOp, [x], {});
