/**
 * Clipping by global norm (torch.nn.utils.clip_grad_norm_): every gradient times min(1, maxNorm / (‖g‖₂ + 1e-6)), where
 * ‖g‖₂ runs over all elements of all gradients.
 *
 * A norm that is not finite is not hidden, as in PyTorch: NaN makes all gradients NaN; infinity makes them 0, and NaN where
 * they were infinite. Squares above the largest f32 (elements from 1.8e19) count as infinite. Either stop before the update
 * (`requireFiniteNorm`, PyTorch's `error_if_nonfinite`), or take it back (`skipNonFinite`).
 */
import type { Device } from '../device.js';
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { add } from '../ops/add.js';
import { lessEqual } from '../ops/compare.js';
import { div } from '../ops/div.js';
import { minimum } from '../ops/minimum.js';
import { mul } from '../ops/mul.js';
import { select } from '../ops/select.js';
import { sqrt } from '../ops/sqrt.js';
import { sum } from '../ops/sum.js';
import type { Tensor } from '../tensor.js';
import { flatten, mapTree, unflatten } from '../tree.js';

/** The Euclidean norm over all tensors of a tree, a scalar. */
export const globalNorm = (gradients: unknown): Tensor =>
  sqrt(
    flatten(gradients)
      .map((g) => sum(mul(g, g)))
      .reduce(add, full([], 0)),
  );

/** The clipped gradients and the norm before clipping. @throws RangeError for a negative or NaN `maxNorm`. */
export function clipByGlobalNorm<Gradients>(
  gradients: Gradients,
  maxNorm: number,
): { readonly gradients: Gradients; readonly norm: Tensor } {
  if (!(maxNorm >= 0)) throw new RangeError(`clipByGlobalNorm: maxNorm is ${maxNorm}; pass a number from 0 up`);
  const norm = globalNorm(gradients);
  const scale = minimum(full([], 1), div(maxNorm, add(norm, 1e-6)));
  return { gradients: mapTree(gradients, (g) => mul(g, scale)), norm };
}

/**
 * The value of a gradient norm that can be clipped by.
 *
 * @throws RangeError when it is NaN or infinite. Ask before the step that donates the parameters, and they are still there.
 */
export async function requireFiniteNorm(norm: Tensor, device?: Device): Promise<number> {
  const value = await norm.item(device);
  if (!Number.isFinite(value))
    throw new RangeError(
      `the norm of the gradients is ${value}: lower the learning rate, or go on from an earlier state with other batches`,
    );
  return value;
}

const largestF32 = 3.4028234663852886e38;

/**
 * `updated` where `norm` is finite, else `current`: a step with overflown gradients changes nothing (torch GradScaler).
 *
 * Decided on the device, so a compiled step never waits for the host; both trees are in memory at once.
 */
export function skipNonFinite<T>(norm: Tensor, updated: T, current: T): T {
  const kept = flatten(current);
  const leaves = flatten(updated);
  if (kept.length !== leaves.length)
    throw new ShapeError(`skipNonFinite: ${leaves.length} updated tensors and ${kept.length} current ones`);
  const finite = lessEqual(norm, largestF32);
  return unflatten(
    updated,
    leaves.map((leaf, i) => select(finite, leaf, kept[i]!)),
  );
}
