/** The golden of PyTorch is in golden.test.ts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  averageDecay,
  averageInit,
  createReferenceDevice,
  exponentialMovingAverage,
  full,
  tensor,
} from '../../src/index.js';

const device = createReferenceDevice();

describe('the exponential moving average', () => {
  it('stays between the smallest and the largest value, and on one that does not change', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.float({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
        async (values, decay, warmup) => {
          let average = averageInit([tensor(0)]);
          for (const [update, value] of values.entries())
            average = exponentialMovingAverage(average, [tensor(value)], averageDecay(update, decay, { warmup }));
          const result = await average[0]!.item(device);
          const slack = 1e-6 * Math.max(...values.map(Math.abs));
          expect(result).toBeGreaterThanOrEqual(Math.min(...values) - slack);
          expect(result).toBeLessThanOrEqual(Math.max(...values) + slack);
          if (decay === 1 && !warmup) expect(result).toBe(values[0]);
        },
      ),
    );
  });

  it('copies first, then warms up to its decay', () => {
    const decays = [0, 1, 2, 90, 10_000].map((update) => averageDecay(update, 0.99, { warmup: true }));
    expect(decays).toEqual([0, 2 / 11, 3 / 12, 91 / 100, 0.99]);
    expect([0, 1, 10].map((update) => averageDecay(update, 0.99))).toEqual([0, 0.99, 0.99]);
  });

  it.each([
    ['a decay above 1', () => averageDecay(1, 1.1), /decay is 1.1; pass a number from 0 to 1/],
    ['no decay', () => averageDecay(1, Number.NaN), /decay is NaN/],
    ['a negative update', () => averageDecay(-1, 0.9), /update -1 is not a whole number from 0 up/],
    [
      'another tree',
      () => exponentialMovingAverage<unknown>([full([1], 0)], [], 0.9),
      /0 parameters, but the average has 1 tensors/,
    ],
    [
      'another shape',
      () => exponentialMovingAverage({ w: full([2], 0) }, { w: full([3], 0) }, 0.9),
      /w is \[3\], its average \[2\]/,
    ],
  ])('refuses: %s', (_, act, message) => {
    expect(act).toThrow(message);
  });
});
