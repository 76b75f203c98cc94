import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, normalizeAxis, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';

interface UpdateSliceAttributes {
  readonly axis: number;
}

/**
 * `target` with the rows start … start+n along `axis` replaced by `update`; `start` is a run-time i32 scalar, so a cache
 * of fixed capacity grows without a new plan. A start that does not fit is an error when it runs.
 * No gradient: caches are for decoding.
 */
export const updateSliceOp: Op<UpdateSliceAttributes> = {
  name: 'updateSlice',
  infer([target, update, start], { axis }) {
    const fits =
      update!.dtype === target!.dtype &&
      update!.shape.length === target!.shape.length &&
      update!.shape.every((size, i) => (i === axis ? size <= target!.shape[i]! : size === target!.shape[i]));
    if (!fits)
      throw new ShapeError(
        `updateSlice along axis ${axis}: ${formatShape(update!.shape)} does not fit into ${formatShape(target!.shape)}`,
      );
    if (start!.dtype !== 'i32' || sizeOf(start!.shape) !== 1)
      throw new ShapeError(`updateSlice: start is one i32, got ${start!.dtype}${formatShape(start!.shape)}`);
    return [{ shape: target!.shape, dtype: target!.dtype }];
  },
  reference({ inputs: [target, update, start], outputs: [y], attributes: { axis } }) {
    const at = start!.data[0]!;
    const capacity = target!.shape[axis]!;
    if (at < 0 || at + update!.shape[axis]! > capacity)
      throw new RangeError(`updateSlice: rows ${at} to ${at + update!.shape[axis]!} leave the capacity of ${capacity}`);
    y!.data.set(target!.data);
    const outer = sizeOf(target!.shape.slice(0, axis));
    const inner = sizeOf(target!.shape.slice(axis + 1));
    const width = update!.shape[axis]! * inner;
    for (let i = 0; i < outer; i++)
      y!.data.set(update!.data.subarray(i * width, (i + 1) * width), (i * capacity + at) * inner);
  },
};

export const updateSlice = (target: Tensor, update: Tensor, start: Tensor, axis: number): Tensor =>
  applyOne(updateSliceOp, [target, update, start], { axis: normalizeAxis(axis, target.rank, 'updateSlice') });
