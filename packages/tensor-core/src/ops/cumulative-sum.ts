/**
 * Running sums along one axis (torch.cumsum, jax.lax.cumsum): y_i = Σ_{j ≤ i} x_j, from the other end when `reverse`.
 *
 * The gradient is the running sum of the cotangent from the other end. Accumulated in 64 bits by the loops. The
 * decomposition is the doubling scan of Hillis & Steele (1986): after step s every element holds the sum of the 2^s
 * elements up to it, ⌈log₂ n⌉ steps in all.
 */
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { normalizeAxis, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { add } from './add.js';
import { isNumeric } from './elementwise.js';
import { formatSpec } from './operands.js';
import { pad } from './pad.js';
import { slice } from './slice.js';

interface CumulativeSumAttributes {
  readonly axis: number;
  readonly reverse: boolean;
}

/** x moved by `by` places along `axis`, away from where the sums start; zeros come in. */
function shifted(x: Tensor, axis: number, by: number, reverse: boolean): Tensor {
  const length = x.shape[axis]!;
  const kept = reverse ? slice(x, axis, by, length) : slice(x, axis, 0, length - by);
  const widths = x.shape.map((_, i) => (i === axis ? by : 0));
  const none = x.shape.map(() => 0);
  return reverse ? pad(kept, none, widths) : pad(kept, widths, none);
}

export const cumulativeSumOp: Op<CumulativeSumAttributes> = {
  name: 'cumulativeSum',
  infer([x], { axis }) {
    if (!isNumeric(x!.dtype) || x!.shape[axis] === undefined)
      throw new ShapeError(`cumulativeSum adds f32, i32 or u32 along an axis, got ${formatSpec(x!)} and axis ${axis}`);
    return [x!];
  },
  decompose([x], { axis, reverse }) {
    let total = x!;
    for (let by = 1; by < x!.shape[axis]!; by *= 2) total = add(total, shifted(total, axis, by, reverse));
    return [total];
  },
  reference({ inputs: [x], outputs: [y], attributes: { axis, reverse } }) {
    const length = x!.shape[axis]!;
    const stride = sizeOf(x!.shape.slice(axis + 1));
    const [from, to] = [x!.data, y!.data];
    for (let start = 0; start < from.length; start += length * stride) {
      for (let column = 0; column < stride; column++) {
        let total = 0;
        for (let i = 0; i < length; i++) {
          const at = start + (reverse ? length - 1 - i : i) * stride + column;
          to[at] = total += from[at]!;
        }
      }
    }
  },
  overwrites: () => [{ output: 0, input: 0 }],
  vjp: ({ cotangents: [dy], attributes: { axis, reverse } }) => [cumulativeSum(dy!, axis, !reverse)],
};

/** @param axis the last one by default. */
export const cumulativeSum = (x: Tensor, axis = -1, reverse = false): Tensor =>
  applyOne(cumulativeSumOp, [x], { axis: normalizeAxis(axis, x.rank, 'cumulativeSum'), reverse });
