/**
 * lse(x) = log Σ e^x over some axes, and log softmax(x) = x − lse(x), shifted by the largest element so that nothing overflows.
 *
 * Rows of only -Infinity (nothing is possible) give -Infinity, and lse passes no gradient to them. dlse/dx = softmax(x).
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

interface Shifted {
  /** The largest element over the axes, 0 where that is infinite: Infinity − Infinity is no number. */
  readonly shift: Tensor;
  /** Whether all elements are -Infinity. */
  readonly hidden: Tensor;
  /** log Σ e^(x − shift), 0 where hidden. */
  readonly logTotal: Tensor;
}

/** All axes kept. */
function shifted(x: Tensor, axes: readonly number[]): Shifted {
  const largest = stopGradient(max(x, axes, true));
  const shift = select(equal(abs(largest), Infinity), 0, largest);
  const hidden = equal(largest, -Infinity);
  return { shift, hidden, logTotal: log(select(hidden, 1, sum(exp(sub(x, shift)), axes, true))) };
}

/** log Σ e^x over `axes`, all of them when left out (torch.logsumexp). */
export function logSumExp(x: Tensor, axes?: number | readonly number[], keepDimensions = false): Tensor {
  const over = normalizeAxes(axes, x.rank, 'logSumExp');
  const { shift, hidden, logTotal } = shifted(x, over);
  const result = select(hidden, -Infinity, add(logTotal, shift));
  return reshape(result, reducedShape(x.shape, over, keepDimensions));
}

/** log softmax(x) along `axis`, the last one by default (torch.log_softmax); -Infinity where nothing is possible. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  const { shift, logTotal } = shifted(x, normalizeAxes(axis, x.rank, 'logSoftmax'));
  // In this order: shift + log total would round away the logarithm where the shift is large.
  return sub(sub(x, shift), logTotal);
}
