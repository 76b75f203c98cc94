/**
 * Gradients of one optimiser step from several micro-batches: their mean, weighted by what each stands for.
 *
 *   Σᵢ wᵢgᵢ / Σᵢ wᵢ
 *
 * With gᵢ the gradient of micro-batch i's mean loss and wᵢ the tokens that the mean ran over, this is the gradient of the mean
 * over all tokens: how a batch is split does not matter. (The unweighted mean of means favours tokens of short micro-batches.)
 *
 * Memory: one tree of sums; donate it to a compiled accumulation and it is added to in place.
 */
import { full } from '../op.js';
import { add } from '../ops/add.js';
import { greater } from '../ops/compare.js';
import { div } from '../ops/div.js';
import { mul } from '../ops/mul.js';
import { select } from '../ops/select.js';
import { ShapeError } from '../errors.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { flatten, mapTree, unflatten } from '../tree.js';

export interface AccumulatedGradients<Gradients> {
  /** Σ wᵢgᵢ */
  readonly sum: Gradients;
  /** Σ wᵢ, a scalar. */
  readonly weight: Tensor;
}

/** Nothing accumulated yet, for gradients shaped like `parameters`. */
export const accumulationInit = <Gradients>(parameters: Gradients): AccumulatedGradients<Gradients> => ({
  sum: mapTree(parameters, ({ shape }) => full(shape, 0)),
  weight: full([], 0),
});

/**
 * The sum with one more micro-batch.
 *
 * @param weight 0 or more; a run-time count as an f32 scalar tensor. A micro-batch of weight 0 leaves no trace, even where its
 *   gradients are NaN, the mean of nothing.
 * @throws ShapeError when the trees have different numbers of tensors.
 */
export function accumulateGradients<Gradients>(
  total: AccumulatedGradients<Gradients>,
  gradients: Gradients,
  weight: TensorLike,
): AccumulatedGradients<Gradients> {
  const sums = flatten(total.sum);
  const leaves = flatten(gradients);
  if (sums.length !== leaves.length)
    throw new ShapeError(`accumulateGradients: a sum of ${sums.length} tensors and gradients of ${leaves.length}`);
  const counts = greater(weight, 0);
  return {
    sum: unflatten(
      total.sum,
      leaves.map((gradient, i) => add(sums[i]!, select(counts, mul(gradient, weight), full([], 0)))),
    ),
    weight: add(total.weight, weight),
  };
}

/** The weighted mean of what was accumulated; zeros if that has no weight. */
export function meanGradients<Gradients>({ sum, weight }: AccumulatedGradients<Gradients>): Gradients {
  const divisor = select(greater(weight, 0), weight, full([], 1));
  return mapTree(sum, (leaf) => div(leaf, divisor));
}
