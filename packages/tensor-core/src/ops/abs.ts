import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { less } from './compare.js';
import { neg } from './neg.js';
import { select } from './select.js';

/** y = |x|; dy/dx = sign x, taken as 1 at 0. */
export const absOp: Op<NoAttributes> = defineUnary({
  name: 'abs',
  compute: Math.abs,
  derivative: (x, _y, dy) => select(less(x, 0), neg(dy), dy),
});

export const abs = (x: Tensor): Tensor => applyOne(absOp, [x], {});
