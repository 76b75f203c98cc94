import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, stridesOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { sliceOp } from './slice.js';
import { forEachStrided } from './strided.js';

interface PadAttributes {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** x inside a larger box of zeros. */
export const padOp: Op<PadAttributes> = {
  name: 'pad',
  infer([x], { before, after }) {
    if (
      before.length !== x!.shape.length ||
      after.length !== x!.shape.length ||
      [...before, ...after].some((n) => n < 0)
    ) {
      throw new ShapeError(`pad: [${before.join(', ')}] and [${after.join(', ')}] do not pad ${formatShape(x!.shape)}`);
    }
    return [{ shape: x!.shape.map((size, axis) => before[axis]! + size + after[axis]!), dtype: x!.dtype }];
  },
  reference({ inputs: [x], outputs: [y], attributes: { before } }) {
    const strides = stridesOf(y!.shape);
    const base = before.reduce((offset, from, axis) => offset + from * strides[axis]!, 0);
    const [from, to] = [x!.data, y!.data];
    forEachStrided(x!.shape, strides, base, (i, offset) => {
      to[offset] = from[i]!;
    });
  },
  view: (_inputs, { before, after }) => ([...before, ...after].every((n) => n === 0) ? 0 : undefined),
  flops: () => 0,
  vjp: ({ inputs: [x], cotangents: [dy], attributes: { before } }) => [
    applyOne(sliceOp, [dy!], { start: [...before], end: before.map((from, axis) => from + x!.shape[axis]!) }),
  ],
};

export const pad = (x: Tensor, before: readonly number[], after: readonly number[]): Tensor =>
  [...before, ...after].every((n) => n === 0) ? x : applyOne(padOp, [x], { before: [...before], after: [...after] });
