import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { mul } from './mul.js';
import { neg } from './neg.js';
import { sin } from './sin.js';

/** y = cos x (radians); dy/dx = -sin x. */
export const cosOp: Op<NoAttributes> = defineUnary({
  name: 'cos',
  compute: Math.cos,
  derivative: (x, _y, dy) => neg(mul(dy, sin(x))),
});

export const cos = (x: Tensor): Tensor => applyOne(cosOp, [x], {});
