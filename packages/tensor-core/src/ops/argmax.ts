import { isArithmetic } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import type { NoAttributes } from './elementwise.js';

/** Index of the first largest element along the last axis, as i32; the first NaN if there is one. No gradient. */
export const argmaxOp: Op<NoAttributes> = {
  name: 'argmax',
  infer([x]) {
    if ((x!.shape.at(-1) ?? 0) === 0)
      throw new ShapeError(`argmax needs a last axis with elements, got ${formatShape(x!.shape)}`);
    if (!isArithmetic(x!.dtype))
      throw new ShapeError(`argmax does not compare ${x!.dtype} (shape ${formatShape(x!.shape)}): cast it first`);
    return [{ shape: x!.shape.slice(0, -1), dtype: 'i32' }];
  },
  reference({ inputs: [x], outputs: [y] }) {
    const width = x!.shape.at(-1)!;
    const from = x!.data;
    for (let row = 0; row < y!.data.length; row++) {
      let best = 0;
      for (let i = 1; i < width; i++) {
        const value = from[row * width + i]!;
        const leader = from[row * width + best]!;
        if (value > leader || (Number.isNaN(value) && !Number.isNaN(leader))) best = i;
      }
      y!.data[row] = best;
    }
  },
  flops: ([x]) => sizeOf(x!.shape),
  stopsGradient: true,
};

export const argmax = (x: Tensor): Tensor => applyOne(argmaxOp, [x], {});
