import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { div } from './div.js';

/** y = ln x; dy/dx = 1/x. */
export const logOp: Op<NoAttributes> = defineUnary({
  name: 'log',
  compute: Math.log,
  derivative: (x, _y, dy) => div(dy, x),
});

export const log = (x: Tensor): Tensor => applyOne(logOp, [x], {});
