import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bootstrapInterval,
  comparePaired,
  correlation,
  hierarchicalBootstrapInterval,
  mcnemarExact,
  mean,
  normalQuantile,
  quantile,
  wilsonInterval,
} from '../src/index.js';

describe('normalQuantile', () => {
  // Values of Python's statistics.NormalDist().inv_cdf.
  test.each([
    [0.975, 1.9599639845400536],
    [0.5, 0],
    [0.9, 1.2815515655446008],
    [0.995, 2.5758293035489],
    [0.3, -0.5244005127080407],
    [0.08, -1.4050715603096322],
    [0.0001, -3.71901648545568],
    [1e-10, -6.361340902404056],
    [1e-300, -37.0470962993612],
  ])('of %s is %s', (probability, expected) => {
    expect(normalQuantile(probability)).toBeCloseTo(expected, 12);
  });

  test('is infinite at the ends and refuses what is no probability', () => {
    expect([normalQuantile(0), normalQuantile(1)]).toEqual([-Infinity, Infinity]);
    expect(() => normalQuantile(1.1)).toThrow('1.1 is not a probability');
    expect(() => normalQuantile(Number.NaN)).toThrow('NaN is not a probability');
  });
});

describe('wilsonInterval', () => {
  // Newcombe (1998), table I, method 3.
  test.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])('of %s in %s is the published one', (successes, trials, low, high) => {
    const interval = wilsonInterval(successes, trials);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test('at 99 %', () => {
    const { low, high } = wilsonInterval(15, 148, 0.99);
    expect(low).toBeCloseTo(0.05364486961396486, 12);
    expect(high).toBeCloseTo(0.18326735011315248, 12);
  });

  test('holds the proportion, stays in [0, 1], mirrors, and shrinks with more trials', () => {
    const anyResult = fc
      .integer({ min: 1, max: 5000 })
      .chain((n) => fc.tuple(fc.integer({ min: 0, max: n }), fc.constant(n)));
    fc.assert(
      fc.property(anyResult, ([successes, trials]) => {
        const { low, high } = wilsonInterval(successes, trials);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(low).toBeLessThanOrEqual(successes / trials);
        expect(high).toBeGreaterThanOrEqual(successes / trials);
        expect(high).toBeLessThanOrEqual(1);
        const mirrored = wilsonInterval(trials - successes, trials);
        expect(mirrored.low).toBeCloseTo(1 - high, 12);
        const tenfold = wilsonInterval(10 * successes, 10 * trials);
        expect(tenfold.high - tenfold.low).toBeLessThan(high - low);
      }),
    );
  });

  test('knows nothing without trials and refuses what makes no sense', () => {
    expect(wilsonInterval(0, 0)).toMatchObject({ low: 0, high: 1 });
    expect(() => wilsonInterval(3, 2)).toThrow('3 successes in 2 trials');
    expect(() => wilsonInterval(1, 2, 95)).toThrow('confidence 95');
  });
});

describe('mcnemarExact', () => {
  // Exact binomial sums; 121 against 59 is the example of statsmodels' documentation, p = 0.000004434.
  test.each([
    [1, 5, 0.21875],
    [2, 11, 0.0224609375],
    [0, 4, 0.125],
    [3, 9, 0.14599609375],
    [121, 59, 4.434449263755176e-6],
    [700, 500, 8.535366081034334e-9],
    [10_000, 9700, 0.03314531235812818],
    [5, 5, 1],
    [0, 0, 1],
  ])('of %s and %s is %s', (b, c, expected) => {
    expect(mcnemarExact(b, c) / expected).toBeCloseTo(1, 9);
    expect(mcnemarExact(c, b)).toBe(mcnemarExact(b, c));
  });

  test('is a p value for any counts', () => {
    fc.assert(
      fc.property(fc.nat(3000), fc.nat(3000), (b, c) => {
        const p = mcnemarExact(b, c);
        expect(p).toBeGreaterThanOrEqual(0);
        expect(p).toBeLessThanOrEqual(1);
      }),
    );
    expect(() => mcnemarExact(-1, 2)).toThrow('-1 is not a number of items');
  });

  test('comparePaired counts the discordant items', () => {
    expect(comparePaired([1, 1, 0, 0, 1], [1, 0, 1, 0, 0])).toEqual({
      n: 5,
      onlyFirst: 2,
      onlySecond: 1,
      difference: 0.2,
      pValue: 1,
    });
    expect(() => comparePaired([1], [])).toThrow('1 scores against 0');
  });
});

describe('the bootstrap', () => {
  test('interpolates quantiles as NumPy does', () => {
    expect(quantile([1, 2, 3, 4], 0.4)).toBeCloseTo(2.2, 12);
    expect([quantile([1, 2, 3], 0), quantile([1, 2, 3], 1), quantile([5], 0.3)]).toEqual([1, 3, 5]);
  });

  test('of two values has the three means that it must have', () => {
    // Means 0, 1/2 and 1 with probabilities 1/4, 1/2 and 1/4.
    const values = [0, 1];
    expect(bootstrapInterval(values, { seed: 1, confidence: 0.95 })).toMatchObject({ low: 0, high: 1 });
    expect(bootstrapInterval(values, { seed: 1, confidence: 0.4 })).toMatchObject({ low: 0.5, high: 0.5 });
  });

  test('of many coin flips is the normal interval', () => {
    const flips = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const interval = bootstrapInterval(flips, { seed: 'flips', draws: 4000 });
    const half = 1.96 * Math.sqrt((0.25 * 0.75) / 400);
    expect(interval.low).toBeCloseTo(0.25 - half, 2);
    expect(interval.high).toBeCloseTo(0.25 + half, 2);
  });

  test('is the same again for the same seed, and another for another', () => {
    const values = Array.from({ length: 50 }, (_, i) => Math.sqrt(i));
    const interval = bootstrapInterval(values, { seed: 'roots', draws: 500 });
    expect(bootstrapInterval(values, { seed: 'roots', draws: 500 })).toEqual(interval);
    expect(bootstrapInterval(values, { seed: 'others', draws: 500 })).not.toEqual(interval);
  });

  test('takes another statistic', () => {
    const largest = (values: ArrayLike<number>): number => Math.max(...Array.from(values));
    expect(bootstrapInterval([3, 3, 3], { seed: 0, draws: 50 }, largest)).toMatchObject({ low: 3, high: 3 });
  });

  test('with levels is wider where the groups differ, and equal to a point where nothing does', () => {
    expect(hierarchicalBootstrapInterval([[2, 2], [2]], { seed: 0, draws: 100 })).toMatchObject({ low: 2, high: 2 });
    const group = (p: number) => Array.from({ length: 200 }, (_, i) => (i < 200 * p ? 1 : 0));
    const groups = [group(0.3), group(0.5), group(0.7)];
    const nested = hierarchicalBootstrapInterval(groups, { seed: 0, draws: 1000 });
    const flat = bootstrapInterval(groups.flat(), { seed: 0, draws: 1000 });
    expect(nested.high - nested.low).toBeGreaterThan(3 * (flat.high - flat.low));
  });

  test('refuses what makes no sense', () => {
    expect(() => bootstrapInterval([], { seed: 0 })).toThrow('there are no values');
    expect(() => bootstrapInterval([1], { seed: 0, draws: 1e9 })).toThrow('1000000000 draws');
    expect(() => hierarchicalBootstrapInterval([[1], []], { seed: 0 })).toThrow('group 1 has no values');
    expect(() => hierarchicalBootstrapInterval([], { seed: 0 })).toThrow('there are no groups');
  });
});

test('correlation is 1 on a line, −1 on a falling one, and 0 where nothing varies', () => {
  expect(correlation([1, 2, 3], [10, 20, 30])).toBeCloseTo(1, 12);
  expect(correlation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
  expect(correlation([1, 2, 3], [5, 5, 5])).toBe(0);
  expect(mean([1, 2, 6])).toBe(3);
  expect(() => correlation([1], [1, 2])).toThrow('1 values against 2');
});
