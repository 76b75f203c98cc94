import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { cast } from './cast.js';
import { greaterEqual } from './compare.js';
import { concat } from './concat.js';
import type { NoAttributes } from './elementwise.js';
import { maximum } from './maximum.js';
import { minimum } from './minimum.js';
import { reshape } from './reshape.js';
import { scatterAdd } from './scatter-add.js';
import { select } from './select.js';
import { slice } from './slice.js';
import { sub } from './sub.js';

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
  vjp: ({ inputs: [table, indices], cotangents: [dy] }) => {
    // Half-precision rows are added in f32 and rounded once.
    const added = scatterAdd(cast(dy!, 'f32'), indices!, table!.shape[0]!);
    return [cast(added, table!.dtype), undefined];
  },
  guard: {
    operands: [1],
    check({ inputs: [table], data: [indices] }) {
      for (const index of indices!) checkedRow(index, table!.shape[0]!, 'gather');
    },
  },
  splitRows([table, indices], _attributes, input, boundaries) {
    if (input === 1) {
      const parts = boundaries.slice(1).map((to, i) => gather(table!, slice(indices!, 0, boundaries[i]!, to)));
      return [concat(parts, 0)];
    }
    const rowAxes = table!.shape.slice(1).map(() => 1);
    const perRow = (condition: Tensor): Tensor => reshape(condition, [...indices!.shape, ...rowAxes]);
    const ranges = boundaries.slice(1).flatMap((to, i) => (to > boundaries[i]! ? [[boundaries[i]!, to] as const] : []));
    /** The rows of one piece; indices outside it read its first or last row. */
    const picked = ([from, to]: readonly [number, number]): Tensor =>
      gather(slice(table!, 0, from, to), minimum(maximum(sub(indices!, from), 0), to - from - 1));
    const [first, ...others] = ranges;
    if (!first) return [gather(slice(table!, 0, 0, 0), indices!)];
    return [
      others.reduce(
        (rows, range) => select(perRow(greaterEqual(indices!, range[0])), picked(range), rows),
        picked(first),
      ),
    ];
  },
};

/** `row` itself, or a RangeError that names it. */
export function checkedRow(row: number, rows: number, what: string): number {
  if (row < 0 || row >= rows) throw new RangeError(`${what}: index ${row} is outside the table's ${rows} rows`);
  return row;
}

export const gather = (table: Tensor, indices: Tensor): Tensor => applyOne(gatherOp, [table, indices], {});
