/**
 * One AdamW update (Loshchilov & Hutter 2019), in the order of torch.optim.AdamW:
 *
 *   p ← p·(1 − lr·λ);  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  p ← p − lr·(m/c₁) / (√(v/c₂) + ε)
 *
 * with c₁ = 1 − β₁^t and c₂ = 1 − β₂^t. `rates` = [lr, c₁, c₂] is a run-time f32 [3], so one plan serves all steps.
 * Inputs p, g, m, v of one shape and rates → p, m, v. Gradients (through an unrolled step) are those of the decomposition.
 */
import { ShapeError } from '../errors.js';
import { type Op, apply, requireF32 } from '../op.js';
import { add } from '../ops/add.js';
import { div } from '../ops/div.js';
import { mul } from '../ops/mul.js';
import { reshape } from '../ops/reshape.js';
import { slice } from '../ops/slice.js';
import { sqrt } from '../ops/sqrt.js';
import { sub } from '../ops/sub.js';
import { formatShape, sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';

export interface AdamWAttributes {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** Multiplications, additions, divisions and roots for one element, with the factors of the step at hand. */
const flopsPerElement = 15;

export const adamwStepOp: Op<AdamWAttributes> = {
  name: 'adamwStep',
  infer([parameter, gradient, first, second, rates]) {
    for (const other of [gradient!, first!, second!]) {
      if (!sameShape(parameter!.shape, other.shape))
        throw new ShapeError(
          `adamwStep: parameter ${formatShape(parameter!.shape)} and its gradient or moment ${formatShape(other.shape)} differ`,
        );
    }
    if (!sameShape(rates!.shape, [3]))
      throw new ShapeError(
        `adamwStep: rates are [learning rate, correction 1, correction 2], got shape ${formatShape(rates!.shape)}`,
      );
    requireF32('adamwStep', [parameter, gradient, first, second, rates]);
    return [parameter!, parameter!, parameter!];
  },
  overwrites: () => [
    { output: 0, input: 0 },
    { output: 1, input: 2 },
    { output: 2, input: 3 },
  ],
  flops: ([parameter]) => flopsPerElement * sizeOf(parameter!.shape),
  decompose([parameter, gradient, first, second, rates], { beta1, beta2, epsilon, weightDecay }) {
    const rate = (i: number): Tensor => reshape(slice(rates!, 0, i, i + 1), []);
    const m = add(mul(first!, beta1), mul(gradient!, 1 - beta1));
    const v = add(mul(second!, beta2), mul(mul(gradient!, gradient!), 1 - beta2));
    const denominator = add(sqrt(div(v, rate(2))), epsilon);
    const step = div(div(m, rate(1)), denominator);
    // The factor 1 − lr·λ, rounded, would shrink the parameter a little too much or too little in every step alike.
    const direction = weightDecay === 0 ? step : add(mul(parameter!, weightDecay), step);
    return [sub(parameter!, mul(rate(0), direction)), m, v];
  },
  reference({
    inputs: [parameter, gradient, first, second, rates],
    outputs: [p, m, v],
    attributes: { beta1, beta2, epsilon, weightDecay },
  }) {
    const [lr, c1, c2] = rates!.data as unknown as [number, number, number];
    for (let i = 0; i < p!.data.length; i++) {
      const g = gradient!.data[i]!;
      const mi = beta1 * first!.data[i]! + (1 - beta1) * g;
      const vi = beta2 * second!.data[i]! + (1 - beta2) * g * g;
      m!.data[i] = mi;
      v!.data[i] = vi;
      p!.data[i] = parameter!.data[i]! * (1 - lr * weightDecay) - (lr * (mi / c1)) / (Math.sqrt(vi / c2) + epsilon);
    }
  },
};

/** Returns [parameter, first moment, second moment] after one step. */
export function adamwStep(
  parameter: Tensor,
  gradient: Tensor,
  first: Tensor,
  second: Tensor,
  rates: Tensor,
  attributes: AdamWAttributes,
): readonly [Tensor, Tensor, Tensor] {
  const [p, m, v] = apply(adamwStepOp, [parameter, gradient, first, second, rates], attributes);
  return [p!, m!, v!];
}
