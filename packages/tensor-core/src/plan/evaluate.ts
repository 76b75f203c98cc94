/** `evaluate`: computes lazy tensors now. */
import { type Device, defaultDevice } from '../device.js';
import { topologicalOrder } from '../graph/visit.js';
import type { Tensor } from '../tensor.js';
import { flatten } from '../tree.js';
import { keepWithinBudget } from './budget.js';
import { preparePlan } from './cache.js';
import type { PlanPasses } from './plan.js';
import { bufferOn, materialize } from './roots.js';

export interface EvaluateOptions {
  /** Device to run on; the default device when left out. */
  readonly device?: Device;
  /** Passes of the plan compiler to switch off, to find out whether one is at fault. */
  readonly passes?: PlanPasses;
}

/**
 * Computes every tensor of a tree (an array of tensors, say) and returns the tree.
 *
 * Afterwards each of them is a root: it holds its value and has forgotten its graph. Intermediates hold nothing. A graph of
 * the same structure as an earlier one is not planned again.
 */
export async function evaluate<T>(tree: T, { device = defaultDevice(), passes }: EvaluateOptions = {}): Promise<T> {
  const wanted = [...new Set(flatten(tree))].filter((tensor) => tensor.storage === undefined);
  if (wanted.length === 0) return tree;
  const inputs = leavesOf(wanted);
  const { executable } = preparePlan(device, { outputs: wanted, inputs, ...(passes && { passes }) });
  const results = await executable.run(inputs.map((input) => bufferOn(input, device)));
  wanted.forEach((tensor, i) => materialize(tensor, device, results[i]!));
  await keepWithinBudget(device);
  return tree;
}

/** The tensors without a producer that a graph starts from. */
export function leavesOf(roots: readonly Tensor[]): Tensor[] {
  const leaves = new Set<Tensor>();
  for (const root of roots) if (!root.producer) leaves.add(root);
  for (const node of topologicalOrder(roots)) for (const input of node.inputs) if (!input.producer) leaves.add(input);
  return [...leaves];
}
