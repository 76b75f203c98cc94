import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { NoAttributes } from './elementwise.js';

/** y = x, with no gradient behind it (torch.Tensor.detach). */
export const stopGradientOp: Op<NoAttributes> = {
  name: 'stopGradient',
  infer: ([x]) => [x!],
  reference({ inputs: [x], outputs: [y] }) {
    y!.data.set(x!.data);
  },
  view: () => 0,
  flops: () => 0,
  stopsGradient: true,
};

export const stopGradient = (x: Tensor): Tensor => applyOne(stopGradientOp, [x], {});
