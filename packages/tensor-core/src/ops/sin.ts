import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { cos } from './cos.js';
import { mul } from './mul.js';

/** y = sin x (radians); dy/dx = cos x. */
export const sinOp: Op<NoAttributes> = defineUnary({
  name: 'sin',
  compute: Math.sin,
  derivative: (x, _y, dy) => mul(dy, cos(x)),
});

export const sin = (x: Tensor): Tensor => applyOne(sinOp, [x], {});
