import type { DType } from '../dtype.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineBinary, defineUnary } from './elementwise.js';

const isBool = (dtype: DType): boolean => dtype === 'bool';

/** y = a and b, broadcast. */
export const logicalAndOp: Op<NoAttributes> = defineBinary({
  name: 'logicalAnd',
  compute: (a, b) => a & b,
  accepts: isBool,
  stopsGradient: true,
});
/** y = a or b, broadcast. */
export const logicalOrOp: Op<NoAttributes> = defineBinary({
  name: 'logicalOr',
  compute: (a, b) => a | b,
  accepts: isBool,
  stopsGradient: true,
});
/** y = not x. */
export const logicalNotOp: Op<NoAttributes> = defineUnary({
  name: 'logicalNot',
  compute: (x) => 1 - x,
  accepts: isBool,
  stopsGradient: true,
});

export const logicalAnd = (a: Tensor, b: Tensor): Tensor => applyOne(logicalAndOp, [a, b], {});
export const logicalOr = (a: Tensor, b: Tensor): Tensor => applyOne(logicalOrOp, [a, b], {});
export const logicalNot = (x: Tensor): Tensor => applyOne(logicalNotOp, [x], {});
