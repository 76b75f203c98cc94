import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { isNumeric } from './elementwise.js';
import { checkedRow, gather } from './gather.js';
import { formatOperands, misfit } from './operands.js';

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
    const operands = { updates: updates!, indices: indices! };
    const lead = updates!.shape.slice(0, indices!.shape.length);
    if (indices!.dtype !== 'i32' || !sameShape(lead, indices!.shape)) {
      throw misfit('scatterAdd', operands, 'the indices are i32, and the updates start with their shape');
    }
    if (!isNumeric(updates!.dtype))
      throw new ShapeError(`scatterAdd does not add ${updates!.dtype} (${formatOperands(operands)}): cast them first`);
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
  guard: {
    operands: [1],
    check({ data: [indices], attributes: { rows } }) {
      for (const index of indices!) checkedRow(index, rows, 'scatterAdd');
    },
  },
  flops: ([updates]) => sizeOf(updates!.shape),
  vjp: ({ inputs: [, indices], cotangents: [dy] }) => [gather(dy!, indices!), undefined],
};

export const scatterAdd = (updates: Tensor, indices: Tensor, rows: number): Tensor =>
  applyOne(scatterAddOp, [updates, indices], { rows });
