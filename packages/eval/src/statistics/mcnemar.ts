/**
 * The exact McNemar test: do two conditions differ on the same items?
 *
 * Items on which both are right or both are wrong say nothing. Of the d = b + c discordant items, b are right only under the
 * first condition and c only under the second; if the conditions are equally good, b ~ Binomial(d, 1/2), and
 *
 *   p = min(1, 2 · P(Binomial(d, 1/2) ≤ min(b, c)))
 *
 * Source: McNemar, Psychometrika 12 (1947); the exact form is the sign test on discordant pairs.
 */

/** Outcome of a paired comparison of correctness. */
export interface PairedComparison {
  /** Items compared. */
  readonly n: number;
  /** Items right only under the first condition. */
  readonly onlyFirst: number;
  /** Items right only under the second condition. */
  readonly onlySecond: number;
  /** Accuracy of the first less accuracy of the second, −1 to 1. */
  readonly difference: number;
  /** Two-sided exact p. */
  readonly pValue: number;
}

/** P(X ≤ k) for X ~ Binomial(n, 1/2), by a sum of logarithms so that n may be large. */
function lowerTailOfFairCoins(k: number, n: number): number {
  let logTerm = -n * Math.LN2;
  let sum = 0;
  for (let i = 0; i <= k; i++) {
    sum += Math.exp(logTerm);
    logTerm += Math.log((n - i) / (i + 1));
  }
  return sum;
}

/** The two-sided exact p of `b` against `c` discordant items; 1 where there are none. */
export function mcnemarExact(b: number, c: number): number {
  for (const count of [b, c]) {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`McNemar: ${count} is not a number of items; give integers from 0`);
    }
  }
  return b === c ? 1 : Math.min(1, 2 * lowerTailOfFairCoins(Math.min(b, c), b + c));
}

/** Compares two lists of 0/1 scores over the same items in the same order. Throws a RangeError where the lengths differ. */
export function comparePaired(first: readonly (0 | 1)[], second: readonly (0 | 1)[]): PairedComparison {
  const n = first.length;
  if (second.length !== n) {
    throw new RangeError(
      `paired comparison: ${n} scores against ${second.length}; both conditions need the same items`,
    );
  }
  let onlyFirst = 0;
  let onlySecond = 0;
  for (let i = 0; i < n; i++) {
    if (first[i] === 1 && second[i] === 0) onlyFirst++;
    if (first[i] === 0 && second[i] === 1) onlySecond++;
  }
  return {
    n,
    onlyFirst,
    onlySecond,
    difference: n === 0 ? 0 : (onlyFirst - onlySecond) / n,
    pValue: mcnemarExact(onlyFirst, onlySecond),
  };
}
