/**
 * Which classes are among the ids of a row ("multi-hot" encoding): ids i32 [rows, length] → bool [rows, classes].
 *
 * An id outside 0 … classes − 1 stands for nothing: -1 pads, and ids beyond the output head cannot be sampled anyway.
 */
import { ShapeError } from '../errors.js';
import { type Op, applyOne, full } from '../op.js';
import { less, lessEqual } from '../ops/compare.js';
import { concat } from '../ops/concat.js';
import { logicalAnd } from '../ops/logical.js';
import { formatSpec } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { scatterAdd } from '../ops/scatter-add.js';
import { select } from '../ops/select.js';
import { slice } from '../ops/slice.js';
import type { Tensor } from '../tensor.js';

interface MultiHotAttributes {
  readonly classes: number;
}

export const multiHotOp: Op<MultiHotAttributes> = {
  name: 'multiHot',
  infer([ids], { classes }) {
    if (ids!.dtype !== 'i32' || ids!.shape.length !== 2)
      throw new ShapeError(`multiHot takes i32 ids [rows, length], got ${formatSpec(ids!)}`);
    return [{ shape: [ids!.shape[0]!, classes], dtype: 'bool' }];
  },
  // Row by row, because a scatter visits every index for every row of its result.
  decompose([ids], { classes }) {
    const [rows, length] = ids!.shape as [number, number];
    const isClass = logicalAnd(lessEqual(0, ids!), less(ids!, classes));
    const slots = select(isClass, ids!, classes);
    const ones = full([length], 1, 'i32');
    const counts = Array.from({ length: rows }, (_, row) =>
      reshape(scatterAdd(ones, reshape(slice(slots, 0, row, row + 1), [length]), classes + 1), [1, classes + 1]),
    );
    if (rows === 0) return [full([0, classes], 0, 'bool')];
    return [less(0, slice(concat(counts, 0), 1, 0, classes))];
  },
  reference({ inputs: [ids], outputs: [y], attributes: { classes } }) {
    const length = ids!.shape[1]!;
    ids!.data.forEach((id: number, i: number) => {
      if (id >= 0 && id < classes) y!.data[Math.floor(i / length) * classes + id] = 1;
    });
  },
  flops: () => 0,
  stopsGradient: true,
};

export const multiHot = (ids: Tensor, classes: number): Tensor => applyOne(multiHotOp, [ids], { classes });
