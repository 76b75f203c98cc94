import { byteSizeOf } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, normalizeAxis, stridesOf } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import { pad } from './pad.js';
import { forEachStrided } from './strided.js';

export interface SliceAttributes {
  readonly start: readonly number[];
  readonly end: readonly number[];
}

/** The box start ≤ index < end of x, every axis named. */
export const sliceOp: Op<SliceAttributes> = {
  name: 'slice',
  infer([x], { start, end }) {
    const fits = x!.shape.every((size, axis) => 0 <= start[axis]! && start[axis]! <= end[axis]! && end[axis]! <= size);
    if (!fits)
      throw new ShapeError(
        `slice: [${start.join(', ')}] to [${end.join(', ')}] leaves the shape ${formatShape(x!.shape)}`,
      );
    return [{ shape: start.map((from, axis) => end[axis]! - from), dtype: x!.dtype }];
  },
  reference({ inputs: [x], outputs: [y], attributes: { start } }) {
    const strides = stridesOf(x!.shape);
    const base = start.reduce((offset, from, axis) => offset + from * strides[axis]!, 0);
    const [from, to] = [x!.data, y!.data];
    forEachStrided(y!.shape, strides, base, (i, offset) => {
      to[i] = from[offset]!;
    });
  },
  view: ([x], box) => contiguousOffset(x!, box),
  flops: () => 0,
  vjp: ({ inputs: [x], cotangents: [dy], attributes: { start, end } }) => [
    pad(
      dy!,
      start,
      x!.shape.map((size, axis) => size - end[axis]!),
    ),
  ],
};

/**
 * Byte offset of the box in x when its elements lie there one after another: of all axes longer than 1 in the box, only the
 * first may be cut, else the box has gaps.
 */
function contiguousOffset({ shape, dtype }: TensorSpec, { start, end }: SliceAttributes): number | undefined {
  const lengths = start.map((from, axis) => end[axis]! - from);
  if (lengths.includes(0)) return 0;
  const first = lengths.findIndex((length) => length > 1);
  const gapless = first < 0 || lengths.every((length, axis) => axis <= first || length === shape[axis]);
  if (!gapless) return undefined;
  const strides = stridesOf(shape);
  return start.reduce((offset, from, axis) => offset + from * strides[axis]!, 0) * byteSizeOf(dtype);
}

/** x[…, start:end, …] along one axis; negative bounds count from the back. */
export function slice(
  x: Tensor,
  axis: number,
  start: number,
  end: number = x.shape[normalizeAxis(axis, x.rank, 'slice')]!,
): Tensor {
  const chosen = normalizeAxis(axis, x.rank, 'slice');
  const size = x.shape[chosen]!;
  const bound = (at: number): number => (at < 0 ? at + size : at);
  const box = { start: x.shape.map(() => 0), end: [...x.shape] };
  box.start[chosen] = bound(start);
  box.end[chosen] = bound(end);
  return bound(start) === 0 && bound(end) === size ? x : applyOne(sliceOp, [x], box);
}

/** x cut along `axis` into pieces of the given sizes (torch.split). */
export function split(x: Tensor, sizes: readonly number[], axis: number): Tensor[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const length = x.shape[normalizeAxis(axis, x.rank, 'split')]!;
  if (total !== length)
    throw new ShapeError(`split: sizes [${sizes.join(', ')}] add up to ${total}, the axis has ${length}`);
  let start = 0;
  return sizes.map((size) => slice(x, axis, start, (start += size)));
}
