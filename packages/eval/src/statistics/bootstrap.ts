/**
 * Percentile bootstrap intervals: resample with replacement, recompute the statistic, take the quantiles of what comes out.
 *
 * Everything random comes from one named seed, so an interval is reproduced by its inputs. Quantiles interpolate linearly
 * between order statistics (type 7 of Hyndman and Fan 1996, NumPy's default).
 * Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
 */
import { RandomStream } from '@mindseye/tensor-core';
import { checkConfidence } from './interval.js';
import type { Interval } from './interval.js';

/** How to resample. */
export interface BootstrapOptions {
  /** Name of the random stream. */
  readonly seed: number | string;
  /** Number of resamples; 10,000 by default. */
  readonly draws?: number;
  /** Nominal coverage; 0.95 by default. */
  readonly confidence?: number;
}

const DEFAULT_DRAWS = 10_000;
/** A bound on memory: one number is kept per draw. */
const MOST_DRAWS = 1_000_000;

/** The arithmetic mean; NaN for an empty list. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ?? 0;
  return sum / values.length;
}

/** The quantile of ascending values, by linear interpolation. `probability` is in [0, 1]; the list is not empty. */
export function quantile(ascending: ArrayLike<number>, probability: number): number {
  const place = probability * (ascending.length - 1);
  const below = Math.floor(place);
  const low = ascending[below] ?? Number.NaN;
  const high = ascending[Math.min(below + 1, ascending.length - 1)] ?? Number.NaN;
  return low + (place - below) * (high - low);
}

function intervalOfDraws(
  method: Interval['method'],
  options: BootstrapOptions,
  draw: (random: RandomStream) => number,
): Interval {
  const { seed, draws = DEFAULT_DRAWS, confidence = 0.95 } = options;
  checkConfidence(confidence);
  if (!Number.isInteger(draws) || draws < 1 || draws > MOST_DRAWS) {
    throw new RangeError(
      `bootstrap: ${draws} draws is not an integer from 1 to ${MOST_DRAWS}; 10000 is the usual number`,
    );
  }
  const random = RandomStream.fromSeed(seed);
  const results = new Float64Array(draws);
  for (let i = 0; i < draws; i++) results[i] = draw(random);
  results.sort();
  return {
    low: quantile(results, (1 - confidence) / 2),
    high: quantile(results, (1 + confidence) / 2),
    confidence,
    method,
  };
}

/**
 * Bootstrap interval of `statistic` (the mean by default) over independent items. The resample is passed in an array that is
 * reused from draw to draw. Throws a RangeError for an empty list.
 */
export function bootstrapInterval(
  values: readonly number[],
  options: BootstrapOptions,
  statistic: (resample: ArrayLike<number>) => number = mean,
): Interval {
  if (values.length === 0) throw new RangeError('bootstrap: there are no values; give at least one');
  const resample = new Float64Array(values.length);
  return intervalOfDraws('bootstrap', options, (random) => {
    for (let i = 0; i < resample.length; i++) resample[i] = values[random.integer(values.length)] ?? Number.NaN;
    return statistic(resample);
  });
}

/**
 * Bootstrap interval of the mean of group means, for items nested in groups such as training seeds: each draw resamples the
 * groups and then the items of each drawn group. Treating all items as independent would ignore that runs differ.
 * Throws a RangeError where there is no group or an empty one.
 */
export function hierarchicalBootstrapInterval(
  groups: readonly (readonly number[])[],
  options: BootstrapOptions,
): Interval {
  if (groups.length === 0) throw new RangeError('hierarchical bootstrap: there are no groups; give at least one');
  const empty = groups.findIndex((group) => group.length === 0);
  if (empty >= 0) throw new RangeError(`hierarchical bootstrap: group ${empty} has no values; leave it out or fill it`);
  return intervalOfDraws('hierarchical-bootstrap', options, (random) => {
    let sum = 0;
    for (let g = 0; g < groups.length; g++) {
      const group = random.choice(groups);
      let inGroup = 0;
      for (let i = 0; i < group.length; i++) inGroup += random.choice(group);
      sum += inGroup / group.length;
    }
    return sum / groups.length;
  });
}
