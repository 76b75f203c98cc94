/** Confidence intervals: what they look like, and the Wilson score interval of a proportion. */
import { normalQuantile } from './normal.js';

/** A two-sided confidence interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
  /** Nominal coverage, such as 0.95. */
  readonly confidence: number;
  readonly method: 'wilson' | 'bootstrap' | 'hierarchical-bootstrap';
}

/** Throws a RangeError unless `confidence` lies strictly between 0 and 1. */
export function checkConfidence(confidence: number): void {
  if (!(confidence > 0 && confidence < 1)) {
    throw new RangeError(`confidence ${confidence} is not strictly between 0 and 1; 0.95 is the usual value`);
  }
}

/** Throws a RangeError unless `successes` of `trials` makes sense. */
export function checkProportion(successes: number, trials: number): void {
  const valid =
    Number.isSafeInteger(successes) && Number.isSafeInteger(trials) && successes >= 0 && successes <= trials;
  if (!valid) {
    throw new RangeError(`${successes} successes in ${trials} trials: give integers with 0 ≤ successes ≤ trials`);
  }
}

/**
 * The Wilson score interval: all p for which `successes` lies within z standard errors of n·p,
 *
 *   (p̂ + z²/2n ± z·√(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n)
 *
 * It never leaves [0, 1] and is not empty at 0 or n successes. With no trials nothing is known: [0, 1].
 * Source: Wilson 1927; method 3 of Newcombe, Statistics in Medicine 17 (1998), 857–872.
 */
export function wilsonInterval(successes: number, trials: number, confidence = 0.95): Interval {
  checkProportion(successes, trials);
  checkConfidence(confidence);
  const method = 'wilson';
  if (trials === 0) return { low: 0, high: 1, confidence, method };
  const z = normalQuantile(0.5 + confidence / 2);
  const proportion = successes / trials;
  const shrink = 1 + (z * z) / trials;
  const centre = (proportion + (z * z) / (2 * trials)) / shrink;
  const half = (z * Math.sqrt((proportion * (1 - proportion)) / trials + (z * z) / (4 * trials * trials))) / shrink;
  return {
    // At the ends the bound is exactly 0 or 1; rounding would leave 1e-17.
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === trials ? 1 : Math.min(1, centre + half),
    confidence,
    method,
  };
}
