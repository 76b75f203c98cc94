/**
 * AdamW over a tree of parameters, as pure functions on tensors (torch.optim.AdamW).
 *
 * State and parameters go in and come out, so a compiled training step can donate them. The step count and the learning
 * rate enter as one run-time tensor from `adamwRates`.
 */
import { type AdamWAttributes, adamwStep } from '../fused/adamw-step.js';
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { type Tensor, tensor } from '../tensor.js';
import { flatten, mapTree, unflatten } from '../tree.js';

export interface AdamWState<Parameters> {
  readonly firstMoment: Parameters;
  readonly secondMoment: Parameters;
}

export type AdamWOptions = Partial<AdamWAttributes>;

/** PyTorch's defaults. */
export const adamwDefaults: AdamWAttributes = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };

/** Zero moments shaped like `parameters`. */
export function adamwInit<Parameters>(parameters: Parameters): AdamWState<Parameters> {
  const zeros = (): Parameters => mapTree(parameters, (leaf) => full(leaf.shape, 0));
  return { firstMoment: zeros(), secondMoment: zeros() };
}

/**
 * [learning rate, 1 − β₁^t, 1 − β₂^t] as the run-time operand of step `t`.
 *
 * @param step counted from 1, as in the paper and in PyTorch.
 */
export function adamwRates(step: number, learningRate: number, options: AdamWOptions = {}): Tensor {
  if (!Number.isInteger(step) || step < 1)
    throw new RangeError(`adamwRates: step ${step} is not a whole number from 1 up`);
  const { beta1, beta2 } = { ...adamwDefaults, ...options };
  return tensor([learningRate, 1 - beta1 ** step, 1 - beta2 ** step]);
}

/** One update of every parameter. `rates` comes from `adamwRates`. */
export function adamwUpdate<Parameters>(
  parameters: Parameters,
  gradients: Parameters,
  state: AdamWState<Parameters>,
  rates: Tensor,
  options: AdamWOptions = {},
): { readonly parameters: Parameters; readonly state: AdamWState<Parameters> } {
  const attributes = { ...adamwDefaults, ...options };
  const [g, m, v] = [flatten(gradients), flatten(state.firstMoment), flatten(state.secondMoment)];
  const leaves = flatten(parameters);
  const counts = [g, m, v].map((list) => list.length);
  if (counts.some((count) => count !== leaves.length))
    throw new ShapeError(
      `adamwUpdate: ${leaves.length} parameters, but ${counts.join(', ')} gradients, first and second moments`,
    );
  const updated = leaves.map((parameter, i) => adamwStep(parameter, g[i]!, m[i]!, v[i]!, rates, attributes));
  const collect = (place: 0 | 1 | 2): Parameters =>
    unflatten(
      parameters,
      updated.map((triple) => triple[place]),
    );
  return { parameters: collect(0), state: { firstMoment: collect(1), secondMoment: collect(2) } };
}
