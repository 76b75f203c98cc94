/** `evaluate`: computes lazy tensors now. */
import { type Device, defaultDevice } from '../device.js';
import { topologicalOrder } from '../graph/visit.js';
import type { Tensor } from '../tensor.js';
import { flatten } from '../tree.js';
import { buildPlan } from './plan.js';
import { bufferOn, materialize } from './roots.js';

/**
 * Computes every tensor of a tree (an array of tensors, say) and returns the tree.
 *
 * Afterwards each of them is a root: it holds its value and has forgotten its graph. Intermediates hold nothing.
 */
export async function evaluate<T>(
  tree: T,
  { device = defaultDevice() }: { readonly device?: Device } = {},
): Promise<T> {
  const wanted = [...new Set(flatten(tree))].filter((tensor) => tensor.storage === undefined);
  if (wanted.length === 0) return tree;
  const inputs = leavesOf(wanted);
  const plan = buildPlan({ outputs: wanted, inputs, device });
  const results = await device.lower(plan).run(inputs.map((input) => bufferOn(input, device)));
  wanted.forEach((tensor, i) => materialize(tensor, device, results[i]!));
  return tree;
}

/** The tensors without a producer that a graph starts from. */
export function leavesOf(roots: readonly Tensor[]): Tensor[] {
  const leaves = new Set<Tensor>();
  for (const root of roots) if (!root.producer) leaves.add(root);
  for (const node of topologicalOrder(roots)) for (const input of node.inputs) if (!input.producer) leaves.add(input);
  return [...leaves];
}
