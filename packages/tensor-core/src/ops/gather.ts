import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import type { NoAttributes } from './elementwise.js';
import { scatterAdd } from './scatter-add.js';

/**
 * Rows of a table: y[i…, :] = table[indices[i…], :] (torch.nn.functional.embedding, index_select).
 *
 * table [n, …row], indices i32 [...any] → [...any, …row]. An index outside 0 … n-1 is an error when it runs.
 */
export const gatherOp: Op<NoAttributes> = {
  name: 'gather',
  infer([table, indices]) {
    if (table!.shape.length === 0 || indices!.dtype !== 'i32') {
      throw new ShapeError(
        `gather takes a table with rows and i32 indices, got ${table!.dtype}${formatShape(table!.shape)} and ${indices!.dtype}${formatShape(indices!.shape)}`,
      );
    }
    return [{ shape: [...indices!.shape, ...table!.shape.slice(1)], dtype: table!.dtype }];
  },
  reference({ inputs: [table, indices], outputs: [y] }) {
    const rows = table!.shape[0]!;
    const width = sizeOf(table!.shape.slice(1));
    for (let i = 0; i < indices!.data.length; i++) {
      const row = checkedRow(indices!.data[i]!, rows, 'gather');
      y!.data.set(table!.data.subarray(row * width, (row + 1) * width), i * width);
    }
  },
  vjp: ({ inputs: [table, indices], cotangents: [dy] }) => [scatterAdd(dy!, indices!, table!.shape[0]!), undefined],
};

/** `row` itself, or a RangeError that names it. */
export function checkedRow(row: number, rows: number, what: string): number {
  if (row < 0 || row >= rows) throw new RangeError(`${what}: index ${row} is outside the table's ${rows} rows`);
  return row;
}

export const gather = (table: Tensor, indices: Tensor): Tensor => applyOne(gatherOp, [table, indices], {});
