/**
 * The next token of each row, in the order of `generate` in transformers: repetition penalty, then only if sampling
 * temperature, top-k, top-p, min-p, and the draw. A step whose number changes nothing is left out, as there.
 *
 * All on the device: what comes back is one id per row.
 */
import { argmax } from '../ops/argmax.js';
import type { Tensor, TensorLike } from '../tensor.js';
import { sampleCategorical } from './gumbel.js';
import { requireLogits } from './parameter.js';
import { applyRepetitionPenalty, applyTemperature, keepMinP, keepTopK, keepTopP } from './processors.js';

/** Names of `generation_config.json` in camel case. A number left out changes nothing. */
export interface SamplingOptions {
  /** False takes the most likely token after the repetition penalty; true (the default) draws. */
  readonly doSample?: boolean;
  /** i32 [rows, length], tokens so far with -1 as padding: what the repetition penalty looks at. */
  readonly ids?: Tensor;
  /** bool [rows, classes], instead of `ids`: a map of the tokens so far that the loop keeps, see `markSeen`. */
  readonly seen?: Tensor;
  readonly repetitionPenalty?: TensorLike;
  readonly temperature?: TensorLike;
  readonly topK?: TensorLike;
  readonly topP?: TensorLike;
  readonly minP?: TensorLike;
}

interface Stage {
  readonly option: Exclude<keyof SamplingOptions, 'doSample' | 'ids' | 'seen'>;
  /** The number that changes nothing. */
  readonly neutral: number;
  readonly apply: (logits: Tensor, value: TensorLike, options: SamplingOptions) => Tensor;
}

const penaltyStage: Stage = {
  option: 'repetitionPenalty',
  neutral: 1,
  apply(logits, value, { ids, seen }) {
    if (ids && seen)
      throw new TypeError('sampleTokens: ids and seen both say which tokens came before; give one of them');
    const tokens = ids ?? seen;
    if (!tokens)
      throw new TypeError('sampleTokens: a repetitionPenalty needs ids, the tokens so far, or seen, a map of them');
    return applyRepetitionPenalty(logits, tokens, value);
  },
};

const samplingStages: readonly Stage[] = [
  { option: 'temperature', neutral: 1, apply: applyTemperature },
  { option: 'topK', neutral: 0, apply: keepTopK },
  { option: 'topP', neutral: 1, apply: keepTopP },
  { option: 'minP', neutral: 0, apply: keepMinP },
];

/** The logits that the next token is drawn from: f32 [rows, classes], ruled-out places at -Infinity. */
export function processLogits(logits: Tensor, options: SamplingOptions): Tensor {
  requireLogits('processLogits', logits);
  const stages = options.doSample === false ? [penaltyStage] : [penaltyStage, ...samplingStages];
  return stages.reduce((current, { option, neutral, apply }) => {
    const value = options[option];
    return value === undefined || value === neutral ? current : apply(current, value, options);
  }, logits);
}

/**
 * One id per row: logits f32 [rows, classes] → i32 [rows].
 *
 * @param seed a run-time u32 [2]; not read when `doSample` is false.
 * @param stream tells apart the draws made from one seed.
 * @throws RangeError for a plain number outside its range; numbers in tensors are not looked at.
 */
export function sampleTokens(logits: Tensor, options: SamplingOptions, seed?: Tensor, stream = 0): Tensor {
  const processed = processLogits(logits, options);
  if (options.doSample === false) return argmax(processed);
  if (!seed)
    throw new TypeError('sampleTokens: drawing needs a seed, u32 [2]; set doSample to false for greedy decoding');
  return sampleCategorical(processed, seed, stream);
}
