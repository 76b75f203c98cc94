import { type Op, applyOne, full } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { pairOf } from './pair.js';
import { type NoAttributes, defineBinary } from './elementwise.js';
import { greaterEqual } from './compare.js';
import { select } from './select.js';

/** The larger of a and b, broadcast; where they are equal the gradient goes to a. */
export const maximumOp: Op<NoAttributes> = defineBinary({
  name: 'maximum',
  compute: Math.max,
  derivatives: (a, b, _y, dy) => {
    const fromA = greaterEqual(a, b);
    const none = full([], 0);
    return [select(fromA, dy, none), select(fromA, none, dy)];
  },
});

export const maximum = (a: TensorLike, b: TensorLike): Tensor => applyOne(maximumOp, pairOf(a, b), {});
