/**
 * lse(x) = log Σ e^x over some axes, and log softmax(x) = x − lse(x), shifted by the largest element so that nothing overflows.
 *
 * Rows of only -Infinity (nothing is possible) give lse = -Infinity, and pass no gradient. dlse/dx = softmax(x).
 */
import { add } from '../ops/add.js';
import { equal } from '../ops/compare.js';
import { abs } from '../ops/abs.js';
import { exp } from '../ops/exp.js';
import { log } from '../ops/log.js';
import { max } from '../ops/max.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import { normalizeAxes, reducedShape } from '../shape.js';
import type { Tensor } from '../tensor.js';

/** log Σ e^x over `axes`, all of them when left out (torch.logsumexp). */
export function logSumExp(x: Tensor, axes?: number | readonly number[], keepDimensions = false): Tensor {
  const over = normalizeAxes(axes, x.rank, 'logSumExp');
  const largest = stopGradient(max(x, over, true));
  // Infinity − Infinity is no number.
  const shift = select(equal(abs(largest), Infinity), 0, largest);
  const hidden = equal(largest, -Infinity);
  const total = select(hidden, 1, sum(exp(sub(x, shift)), over, true));
  const result = select(hidden, -Infinity, add(log(total), shift));
  return reshape(result, reducedShape(x.shape, over, keepDimensions));
}

/** log softmax(x) along `axis`, the last one by default (torch.log_softmax). */
export const logSoftmax = (x: Tensor, axis = -1): Tensor => sub(x, logSumExp(x, axis, true));
