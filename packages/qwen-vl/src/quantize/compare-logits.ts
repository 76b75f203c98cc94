/**
 * Two models' logits over the same tokens, position by position, as graph.
 *
 * With p and q the distributions of reference and candidate at a position, and t the token that follows:
 *
 *   negative log-likelihood   −log p(t),  −log q(t)          in nats; the exponential of the mean is the perplexity
 *   agreement                 argmax p = argmax q
 *   divergence                KL(p‖q) = Σ p·(log p − log q)   in nats
 *   logit difference          max |reference − candidate| over the vocabulary
 *
 * Memory: about four matrices [n, vocabulary] in f32 while it runs; call it for some rows at a time.
 */
import {
  type Tensor,
  abs,
  argmax,
  cast,
  equal,
  exp,
  logSoftmax,
  max,
  mul,
  neg,
  stack,
  sub,
  sum,
  tokenLogProbabilities,
} from '@mindseye/tensor-core';

/** What is measured at one position. */
export interface TokenComparison {
  readonly reference: number;
  readonly candidate: number;
  /** 1 where both models would say the same token. */
  readonly agrees: number;
  readonly divergence: number;
  readonly logitDifference: number;
}

const rowsInOrder = ['reference', 'candidate', 'agrees', 'divergence', 'logitDifference'] as const;

/**
 * @param reference, candidate f32 [n, vocabulary]
 * @param next i32 [n]: the token that follows each position
 * @returns f32 [5, n]: the fields of `TokenComparison`, one row each, for `readComparisons`
 */
export function compareLogits(reference: Tensor, candidate: Tensor, next: Tensor): Tensor {
  const [p, q] = [logSoftmax(reference), logSoftmax(candidate)];
  const rows: Record<(typeof rowsInOrder)[number], Tensor> = {
    reference: neg(tokenLogProbabilities(reference, next)),
    candidate: neg(tokenLogProbabilities(candidate, next)),
    agrees: cast(equal(argmax(reference), argmax(candidate)), 'f32'),
    divergence: sum(mul(exp(p), sub(p, q)), -1),
    logitDifference: max(abs(sub(reference, candidate)), -1),
  };
  return stack(
    rowsInOrder.map((row) => rows[row]),
    0,
  );
}

/** The result of `compareLogits`, read back: one comparison for each position. */
export function readComparisons(values: ArrayLike<number>): TokenComparison[] {
  const count = values.length / rowsInOrder.length;
  return Array.from(
    { length: count },
    (_, position) =>
      Object.fromEntries(
        rowsInOrder.map((row, i) => [row, values[i * count + position]!]),
      ) as unknown as TokenComparison,
  );
}
