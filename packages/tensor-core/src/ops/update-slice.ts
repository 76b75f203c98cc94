import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { normalizeAxis, sizeOf } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import { formatOperands, formatSpec, misfit } from './operands.js';

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
      throw misfit(
        `updateSlice along axis ${axis}`,
        { update: update!, target: target! },
        'the update has the dtype and the other sizes of the target, and is no longer than it',
      );
    if (start!.dtype !== 'i32' || sizeOf(start!.shape) !== 1)
      throw new ShapeError(
        `updateSlice: start is one i32, got ${formatSpec(start!)} with ${formatOperands({ target: target!, update: update! })}`,
      );
    return [{ shape: target!.shape, dtype: target!.dtype }];
  },
  reference({ inputs: [target, update, start], outputs: [y], attributes: { axis } }) {
    const at = start!.data[0]!;
    const capacity = target!.shape[axis]!;
    checkStart(at, update!, target!, axis);
    y!.data.set(target!.data);
    const outer = sizeOf(target!.shape.slice(0, axis));
    const inner = sizeOf(target!.shape.slice(axis + 1));
    const width = update!.shape[axis]! * inner;
    for (let i = 0; i < outer; i++)
      y!.data.set(update!.data.subarray(i * width, (i + 1) * width), (i * capacity + at) * inner);
  },
  overwrites: () => [{ output: 0, input: 0 }],
  guard: {
    operands: [2],
    check({ inputs: [target, update], data: [start], attributes: { axis } }) {
      checkStart(start![0]!, update!, target!, axis);
    },
  },
  flops: () => 0,
};

function checkStart(at: number, update: TensorSpec, target: TensorSpec, axis: number): void {
  const [length, capacity] = [update.shape[axis]!, target.shape[axis]!];
  if (at < 0 || at + length > capacity)
    throw new RangeError(`updateSlice: rows ${at} to ${at + length} leave the capacity of ${capacity}`);
}

export const updateSlice = (target: Tensor, update: Tensor, start: Tensor, axis: number): Tensor =>
  applyOne(updateSliceOp, [target, update, start], { axis: normalizeAxis(axis, target.rank, 'updateSlice') });
