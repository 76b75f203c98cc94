import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { isNumeric } from './elementwise.js';
import { checkedRow, gather } from './gather.js';

interface ScatterAddAttributes {
  readonly rows: number;
}

/**
 * Sums rows into a table of zeros: y[indices[i…], :] += updates[i…, :], in index order, so that the result is the same
 * on every run. updates [...any, …row], indices i32 [...any] → [rows, …row]. The transpose of `gather`.
 */
export const scatterAddOp: Op<ScatterAddAttributes> = {
  name: 'scatterAdd',
  infer([updates, indices], { rows }) {
    const lead = updates!.shape.slice(0, indices!.shape.length);
    if (indices!.dtype !== 'i32' || !sameShape(lead, indices!.shape)) {
      throw new ShapeError(
        `scatterAdd: updates ${formatShape(updates!.shape)} do not start with the shape of the i32 indices ${formatShape(indices!.shape)}`,
      );
    }
    if (!isNumeric(updates!.dtype))
      throw new ShapeError(
        `scatterAdd does not add ${updates!.dtype} (updates ${formatShape(updates!.shape)}): cast them first`,
      );
    return [{ shape: [rows, ...updates!.shape.slice(indices!.shape.length)], dtype: updates!.dtype }];
  },
  reference({ inputs: [updates, indices], outputs: [y], attributes: { rows } }) {
    const width = sizeOf(y!.shape.slice(1));
    const [from, to] = [updates!.data, y!.data];
    for (let i = 0; i < indices!.data.length; i++) {
      const row = checkedRow(indices!.data[i]!, rows, 'scatterAdd');
      for (let j = 0; j < width; j++) to[row * width + j]! += from[i * width + j]!;
    }
  },
  vjp: ({ inputs: [, indices], cotangents: [dy] }) => [gather(dy!, indices!), undefined],
};

export const scatterAdd = (updates: Tensor, indices: Tensor, rows: number): Tensor =>
  applyOne(scatterAddOp, [updates, indices], { rows });
