import { ShapeError } from '../errors.js';
import { type Op, applyOne, full } from '../op.js';
import type { Tensor, TensorLike } from '../tensor.js';
import {
  type NoAttributes,
  broadcastOperands,
  forEachBroadcast,
  overwritesElements,
  sumToShape,
} from './elementwise.js';
import { formatOperands } from './operands.js';
import { pairOf } from './pair.js';

/** y = condition ? a : b, all three broadcast (torch.where). */
export const selectOp: Op<NoAttributes> = {
  name: 'select',
  infer([condition, a, b]) {
    const operands = formatOperands({ condition: condition!, a: a!, b: b! });
    if (condition!.dtype !== 'bool')
      throw new ShapeError(`select needs a bool condition, got ${operands}: compare the condition with something`);
    if (a!.dtype !== b!.dtype)
      throw new ShapeError(`select needs branches of one dtype, got ${operands}: cast one of them`);
    return [{ shape: broadcastOperands('select', [condition!, a!, b!]), dtype: a!.dtype }];
  },
  reference({ inputs: [condition, a, b], outputs: [y] }) {
    forEachBroadcast(y!, [condition!, a!, b!], (i, [ic, ia, ib]) => {
      y!.data[i] = condition!.data[ic!] ? a!.data[ia!]! : b!.data[ib!]!;
    });
  },
  scalar: () => (condition, a, b) => (condition === 0 ? b! : a!),
  overwrites: ([condition, a, b]) =>
    overwritesElements([condition!, a!, b!], {
      shape: broadcastOperands('select', [condition!, a!, b!]),
      dtype: a!.dtype,
    }),
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
