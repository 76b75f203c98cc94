/**
 * Stochastic gradient descent with momentum over a tree of parameters (torch.optim.SGD), at step t:
 *
 *   d = g + λp;   b₁ = d₁,  bₜ = μbₜ₋₁ + (1 − τ)d;   p ← p − lr·u
 *   u = d without momentum, b with momentum μ, d + μb with Nesterov momentum
 *
 * λ weight decay (coupled: it enters the momentum), τ dampening, which the first step does not have. State: one f32 tensor
 * for each parameter, none without momentum.
 */
import { add } from '../ops/add.js';
import { mul } from '../ops/mul.js';
import { sub } from '../ops/sub.js';
import type { Tensor } from '../tensor.js';
import { type Optimizer, leafwiseOptimizer, rateAt, requireOption } from './optimizer.js';

export interface SgdOptions {
  /** μ, 0 when left out. */
  readonly momentum?: number;
  /** τ, 0 when left out. */
  readonly dampening?: number;
  /** λ, 0 when left out. */
  readonly weightDecay?: number;
  readonly nesterov?: boolean;
}

export interface SgdState<Parameters> {
  /** b; absent without momentum. */
  readonly momentumBuffer?: Parameters;
}

/** @throws RangeError for negative options, or Nesterov momentum without momentum or with dampening. */
export function sgd<Parameters>({
  momentum = 0,
  dampening = 0,
  weightDecay = 0,
  nesterov = false,
}: SgdOptions = {}): Optimizer<Parameters, SgdState<Parameters>> {
  requireOption('sgd', 'momentum', momentum, 0, Infinity);
  requireOption('sgd', 'weightDecay', weightDecay, 0, Infinity);
  if (!Number.isFinite(dampening)) throw new RangeError(`sgd: dampening is ${dampening}; pass a finite number`);
  if (nesterov && (momentum === 0 || dampening !== 0))
    throw new RangeError(
      `sgd: Nesterov momentum needs a momentum above 0 and no dampening, got ${momentum} and ${dampening}`,
    );
  return leafwiseOptimizer<Parameters, 'momentumBuffer'>({
    name: 'sgd',
    moments: momentum === 0 ? [] : ['momentumBuffer'],
    // The buffer starts at 0, so that the weight 1 of the first step makes it the first gradient.
    rates: (step, learningRate) => [learningRate, step === 1 ? 1 : 1 - dampening],
    update({ parameter, gradient, moments, rates }) {
      const decayed = weightDecay === 0 ? gradient : add(gradient, mul(parameter, weightDecay));
      const step = (direction: Tensor): Tensor => sub(parameter, mul(direction, rateAt(rates, 0)));
      if (momentum === 0) return [step(decayed), moments];
      const buffer = add(mul(moments.momentumBuffer, momentum), mul(decayed, rateAt(rates, 1)));
      return [step(nesterov ? add(decayed, mul(buffer, momentum)) : buffer), { momentumBuffer: buffer }];
    },
  });
}
