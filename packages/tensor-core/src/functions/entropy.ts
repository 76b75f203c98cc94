import { add } from '../ops/add.js';
import { equal } from '../ops/compare.js';
import { div } from '../ops/div.js';
import { exp } from '../ops/exp.js';
import { log } from '../ops/log.js';
import { max } from '../ops/max.js';
import { mul } from '../ops/mul.js';
import { neg } from '../ops/neg.js';
import { select } from '../ops/select.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import type { Tensor } from '../tensor.js';

/**
 * Entropy of softmax(logits) along the last axis, in nats: [..., classes] → [...].
 *
 * With s = x − max x and Z = Σ e^s:  H = −Σ p log p = log Z − Σ s·e^s / Z, which neither overflows nor takes the logarithm
 * of a small p. Classes at -Infinity count 0; a row of only those has entropy 0. dH/dx = −p(log p + H).
 */
export function entropy(logits: Tensor): Tensor {
  const largest = stopGradient(max(logits, -1, true));
  const shift = select(equal(largest, -Infinity), 0, largest);
  const s = sub(logits, shift);
  const impossible = equal(s, -Infinity);
  const weights = exp(s);
  const total = sum(weights, -1);
  const safe = select(equal(total, 0), 1, total);
  const products = mul(weights, select(impossible, 0, s));
  return add(log(safe), neg(div(sum(products, -1), safe)));
}
