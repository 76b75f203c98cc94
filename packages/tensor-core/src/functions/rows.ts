/**
 * Rows of a tensor added to, replaced, or reordered by index or mask. x is [n, …row] throughout.
 *
 * All are gathers and scatters of whole rows, so gradients reach x and the rows that were put in. Indices are run-time
 * values; one outside 0 … n − 1 is an error when it runs.
 */
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import { less } from '../ops/compare.js';
import { cumulativeSum } from '../ops/cumulative-sum.js';
import { gather } from '../ops/gather.js';
import { arange } from '../ops/iota.js';
import { maximum } from '../ops/maximum.js';
import { misfit } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { scatterAdd } from '../ops/scatter-add.js';
import { select } from '../ops/select.js';
import { sub } from '../ops/sub.js';
import { formatShape, sameShape } from '../shape.js';
import type { Tensor } from '../tensor.js';

function checkRows(what: string, x: Tensor, indices: Tensor, rows: Tensor): void {
  const fits =
    x.rank > 0 &&
    indices.dtype === 'i32' &&
    rows.dtype === x.dtype &&
    sameShape(rows.shape, [...indices.shape, ...x.shape.slice(1)]);
  if (!fits)
    throw misfit(
      what,
      { x, indices, rows },
      'indices are i32 [...], rows are one row of x (in its dtype) for each of them',
    );
}

/** One flag per row of x in a shape that broadcasts over the row. */
const perRow = (flags: Tensor, x: Tensor): Tensor => reshape(flags, [flags.size, ...x.shape.slice(1).map(() => 1)]);

/** x with rows[i] added to row indices[i]; repeated indices add up (torch.Tensor.index_add). */
export function indexAdd(x: Tensor, indices: Tensor, rows: Tensor): Tensor {
  checkRows('indexAdd', x, indices, rows);
  return add(x, scatterAdd(rows, indices, x.shape[0]!));
}

/** x with row indices[i] replaced by rows[i] (torch.Tensor.index_copy). The indices must differ: rows of repeated ones add up. */
export function indexCopy(x: Tensor, indices: Tensor, rows: Tensor): Tensor {
  checkRows('indexCopy', x, indices, rows);
  const count = scatterAdd(full(indices.shape, 1, 'i32'), indices, x.shape[0]!);
  return select(perRow(less(0, count), x), scatterAdd(rows, indices, x.shape[0]!), x);
}

/**
 * x with the rows where `mask` holds replaced by the rows of `source`, in order (torch.Tensor.masked_scatter on rows): how
 * visual features take the places of image tokens. mask bool [n], source [m, …row] with m at least the number of places;
 * too few rows are an error when it runs.
 */
export function maskedScatter(x: Tensor, mask: Tensor, source: Tensor): Tensor {
  const fits =
    mask.dtype === 'bool' &&
    sameShape(mask.shape, x.shape.slice(0, 1)) &&
    source.dtype === x.dtype &&
    sameShape(source.shape.slice(1), x.shape.slice(1)) &&
    source.rank === x.rank;
  if (!fits || x.rank === 0)
    throw misfit('maskedScatter', { x, mask, source }, 'mask is bool [n], source has rows like those of x [n, ...row]');
  if (x.shape[0] === 0) return x;
  const count = cumulativeSum(cast(mask, 'i32'));
  // A table without rows has no row 0 to read where nothing is wanted.
  const taken =
    source.shape[0] === 0
      ? gather(full([1, ...x.shape.slice(1)], 0, x.dtype), select(mask, count, 0))
      : gather(source, maximum(sub(count, 1), 0));
  return select(perRow(mask, x), taken, x);
}

/** The inverse of a permutation of 0 … n − 1 given as i32 [n] (argsort of a permutation). */
export function inversePermutation(order: Tensor): Tensor {
  if (order.rank !== 1 || order.dtype !== 'i32')
    throw new ShapeError(`inversePermutation takes i32 [n], got ${order.dtype}${formatShape(order.shape)}`);
  return scatterAdd(arange(order.size), order, order.size);
}

/**
 * Rows of x reordered in groups of `group` neighbours: group i of the result is group order[i] of x. order i32 [n / group].
 * Qwen2.5-VL brings its patches into window order so, four at a time, and back with `inversePermutation(order)`.
 */
export function permuteRowGroups(x: Tensor, order: Tensor, group: number): Tensor {
  const groups = (x.shape[0] ?? 0) / group;
  if (x.rank === 0 || order.dtype !== 'i32' || !sameShape(order.shape, [groups]))
    throw misfit(
      'permuteRowGroups',
      { x, order },
      `order is i32 with one entry for each group of ${group} rows of x, which must divide them`,
    );
  return reshape(gather(reshape(x, [groups, group, ...x.shape.slice(1)]), order), x.shape);
}
