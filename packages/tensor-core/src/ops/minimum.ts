import { type Op, applyOne, full } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { pairOf } from './pair.js';
import { type NoAttributes, defineBinary } from './elementwise.js';
import { lessEqual } from './compare.js';
import { select } from './select.js';

/** The smaller of a and b, broadcast; where they are equal the gradient goes to a. */
export const minimumOp: Op<NoAttributes> = defineBinary({
  name: 'minimum',
  compute: Math.min,
  derivatives: (a, b, _y, dy) => {
    const fromA = lessEqual(a, b);
    const none = full([], 0);
    return [select(fromA, dy, none), select(fromA, none, dy)];
  },
});

export const minimum = (a: TensorLike, b: TensorLike): Tensor => applyOne(minimumOp, pairOf(a, b), {});
