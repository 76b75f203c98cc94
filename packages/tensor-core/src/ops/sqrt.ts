import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { div } from './div.js';
import { mul } from './mul.js';

/** y = √x; dy/dx = 1/(2y). */
export const sqrtOp: Op<NoAttributes> = defineUnary({
  name: 'sqrt',
  compute: Math.sqrt,
  derivative: (_x, y, dy) => div(mul(dy, 0.5), y),
});

export const sqrt = (x: Tensor): Tensor => applyOne(sqrtOp, [x], {});
