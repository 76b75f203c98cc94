import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';
import { errorFunction } from '../numeric/erf.js';
import { exp } from './exp.js';
import { mul } from './mul.js';
import { neg } from './neg.js';

/** y = erf x = 2/√π ∫₀ˣ e^(-t²) dt; dy/dx = 2/√π · e^(-x²). */
export const erfOp: Op<NoAttributes> = defineUnary({
  name: 'erf',
  compute: errorFunction,
  derivative: (x, _y, dy) => mul(dy, mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x, x))))),
});

export const erf = (x: Tensor): Tensor => applyOne(erfOp, [x], {});
