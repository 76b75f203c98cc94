import { isArithmetic } from '../dtype.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { type NoAttributes, defineBinary } from './elementwise.js';
import { pairOf } from './pair.js';

/** Comparisons: bool results, broadcast, no gradient. */
const compare = (name: string, test: (a: number, b: number) => boolean): Op<NoAttributes> =>
  defineBinary({
    name,
    compute: (a, b) => (test(a, b) ? 1 : 0),
    result: 'bool',
    accepts: isArithmetic,
    stopsGradient: true,
  });

/** y = (a = b), broadcast; NaN equals nothing. */
export const equalOp: Op<NoAttributes> = compare('equal', (a, b) => a === b);
/** y = (a < b), broadcast; false where either is NaN. */
export const lessOp: Op<NoAttributes> = compare('less', (a, b) => a < b);
/** y = (a ≤ b), broadcast; false where either is NaN. */
export const lessEqualOp: Op<NoAttributes> = compare('lessEqual', (a, b) => a <= b);

export const equal = (a: TensorLike, b: TensorLike): Tensor => applyOne(equalOp, pairOf(a, b), {});
export const less = (a: TensorLike, b: TensorLike): Tensor => applyOne(lessOp, pairOf(a, b), {});
export const lessEqual = (a: TensorLike, b: TensorLike): Tensor => applyOne(lessEqualOp, pairOf(a, b), {});
export const greater = (a: TensorLike, b: TensorLike): Tensor => less(b, a);
export const greaterEqual = (a: TensorLike, b: TensorLike): Tensor => lessEqual(b, a);
