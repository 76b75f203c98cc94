/**
 * Clipping by global norm (torch.nn.utils.clip_grad_norm_): every gradient times min(1, maxNorm / (‖g‖₂ + 1e-6)), where
 * ‖g‖₂ runs over all elements of all gradients.
 */
import { full } from '../op.js';
import { add } from '../ops/add.js';
import { div } from '../ops/div.js';
import { minimum } from '../ops/minimum.js';
import { mul } from '../ops/mul.js';
import { sqrt } from '../ops/sqrt.js';
import { sum } from '../ops/sum.js';
import type { Tensor } from '../tensor.js';
import { flatten, mapTree } from '../tree.js';

/** The Euclidean norm over all tensors of a tree, a scalar. */
export const globalNorm = (gradients: unknown): Tensor =>
  sqrt(
    flatten(gradients)
      .map((g) => sum(mul(g, g)))
      .reduce(add, full([], 0)),
  );

/** The clipped gradients and the norm before clipping. */
export function clipByGlobalNorm<Gradients>(
  gradients: Gradients,
  maxNorm: number,
): { readonly gradients: Gradients; readonly norm: Tensor } {
  const norm = globalNorm(gradients);
  const scale = minimum(full([], 1), div(maxNorm, add(norm, 1e-6)));
  return { gradients: mapTree(gradients, (g) => mul(g, scale)), norm };
}
