import { ShapeError } from '../errors.js';
import { type Op, applyOne, full } from '../op.js';
import { broadcastShapes } from '../shape.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { type NoAttributes, forEachBroadcast, sumToShape } from './elementwise.js';
import { pairOf } from './pair.js';

/** y = condition ? a : b, all three broadcast (torch.where). */
export const selectOp: Op<NoAttributes> = {
  name: 'select',
  infer([condition, a, b]) {
    if (condition!.dtype !== 'bool')
      throw new ShapeError(`select needs a bool condition, got ${condition!.dtype}: compare it with something`);
    if (a!.dtype !== b!.dtype)
      throw new ShapeError(`select needs branches of one dtype, got ${a!.dtype} and ${b!.dtype}: cast one of them`);
    const branches = broadcastShapes(a!.shape, b!.shape, 'select');
    return [{ shape: broadcastShapes(condition!.shape, branches, 'select'), dtype: a!.dtype }];
  },
  reference({ inputs: [condition, a, b], outputs: [y] }) {
    forEachBroadcast(y!, [condition!, a!, b!], (i, [ic, ia, ib]) => {
      y!.data[i] = condition!.data[ic!] ? a!.data[ia!]! : b!.data[ib!]!;
    });
  },
  vjp({ inputs: [condition, a, b], cotangents: [dy] }) {
    const none = full([], 0);
    return [
      undefined,
      sumToShape(select(condition!, dy!, none), a!.shape),
      sumToShape(select(condition!, none, dy!), b!.shape),
    ];
  },
};

export function select(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  return applyOne(selectOp, [condition, ...pairOf(a, b)], {});
}
