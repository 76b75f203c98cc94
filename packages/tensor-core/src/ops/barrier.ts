import { type Op, applyOne, full } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { NoAttributes } from './elementwise.js';

/**
 * y = x, as a value of its own that is not there before the `after` tensors are.
 *
 * Keeps a recomputation from being merged with the original, and from running before its result is wanted. Nothing is
 * copied: in a plan y is x.
 */
export const barrierOp: Op<NoAttributes> = {
  name: 'barrier',
  infer: ([x]) => [x!],
  reference({ inputs: [x], outputs: [y] }) {
    y!.data.set(x!.data);
  },
  vjp: ({ inputs: [, ...after], cotangents: [dy], needed }) => [
    dy,
    ...after.map((tensor, i) => (needed[i + 1] ? full(tensor.shape, 0, tensor.dtype) : undefined)),
  ],
  view: () => 0,
  flops: () => 0,
};

export const barrier = (x: Tensor, ...after: readonly Tensor[]): Tensor => applyOne(barrierOp, [x, ...after], {});
