/** `upload`: moves tensors to a device now. */
import type { Device } from '../device.js';
import { flatten } from '../tree.js';
import { keepWithinBudget } from './budget.js';
import { evaluate } from './evaluate.js';
import { bufferOn } from './roots.js';

/**
 * Moves every tensor of a tree to `device` and returns the tree.
 *
 * A tensor made from host memory forgets that memory: once nothing else refers to the array it can be collected, so a
 * model that is uploaded tensor by tensor never lies on the host whole. Lazy tensors are computed on `device`. (Without this
 * a host tensor is uploaded when a computation first reads it.)
 *
 * @throws TensorStateError for a tensor that is on another device, was donated, or has no value.
 */
export async function upload<T>(tree: T, device: Device): Promise<T> {
  await evaluate(tree, { device });
  for (const tensor of flatten(tree)) bufferOn(tensor, device);
  await keepWithinBudget(device);
  return tree;
}
