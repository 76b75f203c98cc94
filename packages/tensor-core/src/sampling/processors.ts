/**
 * What transformers does to logits before a token is drawn, as graph: every function takes logits f32 [rows, classes] and
 * returns logits of that shape, on any device. Places that are ruled out become -Infinity.
 *
 * Numbers that change between calls are tensors (one element, or one per row): one plan then serves all their values. NaN
 * stays NaN, so that a broken model is seen. Gradients pass through the places that are kept.
 *
 * Source: `transformers/generation/logits_process.py`.
 */
import { full } from '../op.js';
import { equal, greaterEqual, less, lessEqual } from '../ops/compare.js';
import { div } from '../ops/div.js';
import { exp } from '../ops/exp.js';
import { max } from '../ops/max.js';
import { minimum } from '../ops/minimum.js';
import { mul } from '../ops/mul.js';
import { misfit } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import { sameShape } from '../shape.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { massThreshold } from './mass-threshold.js';
import { multiHot } from './multi-hot.js';
import { checkNumber, requireLogits, rowParameter } from './parameter.js';

/** logits / temperature. Greedy decoding is `argmax`, not a temperature of 0. */
export function applyTemperature(logits: Tensor, temperature: TensorLike): Tensor {
  requireLogits('applyTemperature', logits);
  checkNumber('temperature', temperature, (value) => value > 0, 'above 0; for greedy decoding set doSample to false');
  return div(logits, rowParameter('temperature', temperature, logits.shape[0]!));
}

/** Which classes a row has seen, bool [rows, classes]: from such a map as it is, or from ids i32 [rows, length]. */
function seenClasses(logits: Tensor, tokens: Tensor): Tensor {
  const [rows, classes] = logits.shape as [number, number];
  if (tokens.dtype === 'bool' && sameShape(tokens.shape, logits.shape)) return tokens;
  if (tokens.dtype === 'i32' && tokens.rank === 2 && tokens.shape[0] === rows) return multiHot(tokens, classes);
  throw misfit(
    'applyRepetitionPenalty',
    tokens.dtype === 'bool' ? { logits, seen: tokens } : { logits, ids: tokens },
    'ids are i32 [rows, length], a map of seen tokens is bool [rows, classes]',
  );
}

/**
 * Every class that a row has seen made less likely, once: positive logits are divided by the penalty, others multiplied
 * (Keskar et al. 2019).
 *
 * @param tokens the tokens so far, prompt included: ids i32 [rows, length], where -1 pads and ids that are no class count for
 *   nothing; or the map bool [rows, classes] that `multiHot` makes of them and `markSeen` goes on with, for a decoding loop
 *   that would not scatter its whole history at every step.
 * @param penalty above 1 discourages, below 1 encourages, 1 changes nothing.
 * @throws ShapeError that names the operands when they do not fit.
 */
export function applyRepetitionPenalty(logits: Tensor, tokens: Tensor, penalty: TensorLike): Tensor {
  requireLogits('applyRepetitionPenalty', logits);
  const seen = seenClasses(logits, tokens);
  checkNumber('repetitionPenalty', penalty, (value) => value > 0, 'above 0; 1 changes nothing');
  const factor = rowParameter('repetitionPenalty', penalty, logits.shape[0]!);
  const punished = select(less(logits, 0), mul(logits, factor), div(logits, factor));
  return select(seen, punished, logits);
}

/** The places below a threshold per row [rows, 1] ruled out; comparing so keeps NaN. */
const keepFrom = (logits: Tensor, threshold: Tensor): Tensor => select(less(logits, threshold), -Infinity, logits);

/** Largest logit per row [rows, 1], or 0 where nothing is possible, so that it can be subtracted. */
function largestLogit(logits: Tensor): Tensor {
  const largest = stopGradient(max(logits, 1, true));
  return select(equal(largest, -Infinity), 0, largest);
}

/** Threshold [rows, 1] from which upwards the classes hold `mass` [rows, 1] of the weights. */
const thresholdOf = (logits: Tensor, weights: Tensor, mass: Tensor): Tensor =>
  reshape(massThreshold(stopGradient(logits), stopGradient(weights), reshape(mass, [mass.size])), mass.shape);

/**
 * The k largest logits of each row, and all that equal the k-th (as in transformers, more than k survive a tie).
 *
 * @param k 0 or less, or no fewer than the classes, keeps everything.
 */
export function keepTopK(logits: Tensor, k: TensorLike): Tensor {
  requireLogits('keepTopK', logits);
  checkNumber('topK', k, (value) => Number.isInteger(value) && value >= 0, 'a whole number; 0 keeps everything');
  const count = rowParameter('topK', k, logits.shape[0]!);
  const threshold = thresholdOf(logits, full(logits.shape, 1), count);
  return keepFrom(logits, select(lessEqual(count, 0), -Infinity, threshold));
}

/**
 * The smallest set of most likely classes whose probabilities add up to p (nucleus sampling, Holtzman et al. 2020): a class
 * stays while the classes above it hold less than p. The most likely class always stays.
 *
 * Classes as likely as the last one in the set all stay. transformers keeps of those only what its sort puts last, which
 * differs from device to device.
 *
 * @param p 1 or more keeps everything.
 */
export function keepTopP(logits: Tensor, p: TensorLike): Tensor {
  requireLogits('keepTopP', logits);
  checkNumber('topP', p, (value) => value >= 0 && value <= 1, 'from 0 to 1; 1 keeps everything');
  const share = rowParameter('topP', p, logits.shape[0]!);
  const largest = largestLogit(logits);
  const weights = exp(sub(logits, largest));
  const threshold = minimum(thresholdOf(logits, weights, mul(share, sum(weights, 1, true))), largest);
  return keepFrom(logits, select(greaterEqual(share, 1), -Infinity, threshold));
}

/** The classes at least p times as likely as the most likely one (Nguyen et al. 2024). 0 keeps everything. */
export function keepMinP(logits: Tensor, p: TensorLike): Tensor {
  requireLogits('keepMinP', logits);
  checkNumber('minP', p, (value) => value >= 0 && value <= 1, 'from 0 to 1; 0 keeps everything');
  const share = rowParameter('minP', p, logits.shape[0]!);
  return select(less(exp(sub(logits, largestLogit(logits))), share), -Infinity, logits);
}

/** The classes among `ids` ruled out (SuppressTokensLogitsProcessor), the same for every row. ids i32 [length], -1 pads. */
export function suppressTokens(logits: Tensor, ids: Tensor): Tensor {
  requireLogits('suppressTokens', logits);
  if (ids.dtype !== 'i32' || ids.rank !== 1) throw misfit('suppressTokens', { logits, ids }, 'ids are i32 [length]');
  const gone = multiHot(reshape(ids, [1, ids.size]), logits.shape[1]!);
  return select(gone, -Infinity, logits);
}
