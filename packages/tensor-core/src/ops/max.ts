import { isArithmetic } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, normalizeAxes, reducedShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { cast } from './cast.js';
import { equal } from './compare.js';
import { div } from './div.js';
import { mul } from './mul.js';
import { type ReduceAttributes, expandReduced, forEachReduced, sum } from './sum.js';

/** Largest element over `axes`; the lowest number of the dtype over nothing, NaN if any is NaN. Ties share the gradient equally. */
export const maxOp: Op<ReduceAttributes> = {
  name: 'max',
  infer([x], { axes, keepDimensions }) {
    if (!isArithmetic(x!.dtype))
      throw new ShapeError(`max does not compare ${x!.dtype} (shape ${formatShape(x!.shape)}): cast it first`);
    return [{ shape: reducedShape(x!.shape, axes, keepDimensions), dtype: x!.dtype }];
  },
  reference({ inputs: [x], outputs: [y], attributes: { axes } }) {
    const [from, to] = [x!.data, y!.data];
    to.fill(x!.dtype === 'i32' ? -0x80000000 : -Infinity); // unsigned arrays store the latter as 0, their lowest
    forEachReduced(x!.shape, axes, (i, target) => {
      to[target] = Math.max(to[target]!, from[i]!);
    });
  },
  flops: ([x]) => sizeOf(x!.shape),
  vjp({ inputs: [x], outputs: [y], cotangents: [dy], attributes: { axes } }) {
    const winners = cast(equal(x!, expandReduced(y!, x!.shape, axes)), 'f32');
    const share = div(winners, sum(winners, axes, true));
    return [mul(share, expandReduced(dy!, x!.shape, axes))];
  },
};

export function max(x: Tensor, axes?: number | readonly number[], keepDimensions = false): Tensor {
  return applyOne(maxOp, [x], { axes: normalizeAxes(axes, x.rank, 'max'), keepDimensions });
}
