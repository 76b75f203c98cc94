import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { mul } from './mul.js';
import { sub } from './sub.js';

/** y = tanh x; dy/dx = 1 - y². */
export const tanhOp: Op<NoAttributes> = defineUnary({
  name: 'tanh',
  compute: Math.tanh,
  derivative: (_x, y, dy) => mul(dy, sub(1, mul(y, y))),
});

export const tanh = (x: Tensor): Tensor => applyOne(tanhOp, [x], {});
