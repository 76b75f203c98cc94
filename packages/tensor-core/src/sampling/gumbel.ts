/**
 * Random choice by the Gumbel trick: argmax_c (logit_c + g_c) with independent standard Gumbel g is a draw from
 * softmax(logits) (Gumbel 1954; Maddison, Tarlow & Minka 2014). One pass, no normalisation, no cumulative sums.
 *
 * g = −log E with E exponential, E = −log(1 − v), v = (word + ½)·2^-32 from the Philox word of the element. The choice among
 * many classes is decided by the smallest E, so v keeps all 32 bits where it is small, and E is computed there as
 * 2·artanh(v / (2 − v)), without the cancellation in 1 − v. Words agree on all devices, g to the rounding of its logarithms.
 */
import { add } from '../ops/add.js';
import { argmax } from '../ops/argmax.js';
import { cast } from '../ops/cast.js';
import { less } from '../ops/compare.js';
import { div } from '../ops/div.js';
import { log } from '../ops/log.js';
import { minimum } from '../ops/minimum.js';
import { mul } from '../ops/mul.js';
import { neg } from '../ops/neg.js';
import { randomBits } from '../ops/random-bits.js';
import { select } from '../ops/select.js';
import { shiftRight } from '../ops/shift-right.js';
import { sub } from '../ops/sub.js';
import type { Tensor } from '../tensor.js';
import { square } from '../functions/square.js';
import { requireLogits } from './parameter.js';

/** The largest f32 below 1: keeps log(1 − v) finite. */
const belowOne = 1 - 2 ** -24;

/** artanh(s)/s = 1 + s²/3 + s⁴/5 + …; for s ≤ 1/3 the first term left out is below 2e-8. */
const seriesTerms = 7;

/** (word + ½)·2^-32 from the two halves of each word: every step but the last sum is exact in f32. */
function unitInterval(words: Tensor): Tensor {
  const high = shiftRight(words, 16);
  const low = sub(words, mul(high, 2 ** 16));
  return add(mul(cast(high, 'f32'), 2 ** -16), mul(add(cast(low, 'f32'), 0.5), 2 ** -32));
}

/** The standard exponential number that each u32 word stands for: finite and above 0 for all of them. */
export function exponentialOf(words: Tensor): Tensor {
  const v = minimum(unitInterval(words), belowOne);
  const s = div(v, sub(2, v));
  const squared = square(s);
  let series: Tensor | number = 1 / (2 * seriesTerms - 1);
  for (let term = seriesTerms - 1; term >= 1; term--) series = add(mul(squared, series), 1 / (2 * term - 1));
  return select(less(v, 0.5), mul(mul(s, 2), series), neg(log(sub(1, v))));
}

/** Standard exponential numbers, f32. `seed` is a run-time u32 [2], `stream` tells apart the draws made from one seed. */
export const randomExponential = (seed: Tensor, shape: readonly number[], stream: number): Tensor =>
  exponentialOf(randomBits(seed, shape, stream));

/** Standard Gumbel numbers, f32: finite, from about -2.8 to 22.9. */
export const randomGumbel = (seed: Tensor, shape: readonly number[], stream: number): Tensor =>
  neg(log(randomExponential(seed, shape, stream)));

/**
 * One class per row, drawn from softmax(logits) (jax.random.categorical): logits f32 [rows, classes] → i32 [rows].
 *
 * A class at -Infinity is never drawn while another is possible. The same seed and stream draw the same classes on every
 * device, but where two classes come within the rounding of a logarithm of each other.
 */
export function sampleCategorical(logits: Tensor, seed: Tensor, stream = 0): Tensor {
  requireLogits('sampleCategorical', logits);
  return argmax(add(logits, randomGumbel(seed, logits.shape, stream)));
}
