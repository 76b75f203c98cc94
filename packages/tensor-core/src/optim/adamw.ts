/**
 * AdamW (Loshchilov & Hutter 2019) over a tree of parameters: torch.optim.AdamW without `amsgrad`.
 *
 * The update of one parameter is the fused op `adamwStep`, which may write over its operands: with parameters, gradients and
 * state donated, a step allocates nothing. State: two f32 tensors for each parameter, 8 bytes an element.
 */
import { type AdamWAttributes, adamwStep } from '../fused/adamw-step.js';
import { type Optimizer, leafwiseOptimizer, requireOption } from './optimizer.js';

export interface AdamWState<Parameters> {
  readonly firstMoment: Parameters;
  readonly secondMoment: Parameters;
}

export type AdamWOptions = Partial<AdamWAttributes>;

/** PyTorch's defaults. */
export const adamWDefaults: AdamWAttributes = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };

/** @throws RangeError unless 0 ≤ β < 1 and epsilon and weight decay are finite and not negative. */
export function adamW<Parameters>(options: AdamWOptions = {}): Optimizer<Parameters, AdamWState<Parameters>> {
  const attributes = { ...adamWDefaults, ...options };
  const { beta1, beta2, epsilon, weightDecay } = attributes;
  requireOption('adamW', 'beta1', beta1, 0, 1);
  requireOption('adamW', 'beta2', beta2, 0, 1);
  requireOption('adamW', 'epsilon', epsilon, 0, Infinity);
  requireOption('adamW', 'weightDecay', weightDecay, 0, Infinity);
  return leafwiseOptimizer<Parameters, 'firstMoment' | 'secondMoment'>({
    name: 'adamW',
    moments: ['firstMoment', 'secondMoment'],
    rates: (step, learningRate) => [learningRate, 1 - beta1 ** step, 1 - beta2 ** step],
    update({ parameter, gradient, moments, rates }) {
      const [p, m, v] = adamwStep(parameter, gradient, moments.firstMoment, moments.secondMoment, rates, attributes);
      return [p, { firstMoment: m, secondMoment: v }];
    },
  });
}
