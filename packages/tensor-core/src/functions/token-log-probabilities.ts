import { misfit } from '../ops/operands.js';
import { neg } from '../ops/neg.js';
import { reshape } from '../ops/reshape.js';
import { softmaxCrossEntropy } from '../fused/softmax-cross-entropy.js';
import { sameShape } from '../shape.js';
import type { Tensor } from '../tensor.js';

/**
 * log softmax(logits) at the given ids, in f32: logits [..., classes], ids i32 [...] → [...].
 *
 * What policy-gradient losses need of a sampled token; divide the logits by the temperature first. An id of -100 gives 0
 * and no gradient. The logits are read in place: no [..., classes] intermediate is made.
 */
export function tokenLogProbabilities(logits: Tensor, ids: Tensor): Tensor {
  if (logits.rank === 0 || !sameShape(ids.shape, logits.shape.slice(0, -1)))
    throw misfit('tokenLogProbabilities', { logits, ids }, 'logits are f32 [..., classes] and ids i32 [...]');
  const losses = softmaxCrossEntropy(reshape(logits, [ids.size, logits.shape.at(-1)!]), reshape(ids, [ids.size]));
  return reshape(neg(losses), ids.shape);
}
