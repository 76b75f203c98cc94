/** Gradients of functions without an op of their own, against finite differences in f64. */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  type HostTensor,
  type Tensor,
  cumulativeSum,
  entropy,
  full,
  indexAdd,
  indexCopy,
  interpolateRows,
  logSoftmax,
  logSumExp,
  maskedScatter,
  min,
  permuteRowGroups,
  pow,
  silu,
  square,
  standardDeviation,
  sum,
  tensor,
  tokenLogProbabilities,
  variance,
  vectorJacobianProduct,
} from '../../src/index.js';
import { arbitraryDistinct, arbitraryTensor, arbitraryValue, checkGradients } from '../../src/testing/index.js';

const i32 = (...values: number[]): Tensor => tensor(Int32Array.from(values));
const bools = (...values: number[]): Tensor => tensor(Uint8Array.from(values));

/** Each function on smooth points, with the shapes that its gradient has to sum over. */
const smooth: Readonly<
  Record<string, readonly [fn: (...inputs: Tensor[]) => Tensor, inputs: fc.Arbitrary<HostTensor[]>]>
> = {
  'pow 3': [(x) => pow(x!, 3), fc.tuple(arbitraryTensor())],
  'pow -1.5': [(x) => pow(x!, -1.5), fc.tuple(arbitraryTensor('f32', 'positive'))],
  'pow 0.3': [(x) => pow(x!, 0.3), fc.tuple(arbitraryTensor('f32', 'positive'))],
  square: [square, fc.tuple(arbitraryTensor())],
  logSumExp: [(x) => logSumExp(x!, -1), fc.tuple(arbitraryTensor('f32', 'ordinary', { minRank: 1, minLength: 1 }))],
  logSoftmax: [(x) => logSoftmax(x!, 0), fc.tuple(arbitraryTensor('f32', 'ordinary', { minRank: 1, minLength: 1 }))],
  entropy: [entropy, fc.tuple(arbitraryTensor('f32', 'ordinary', { minRank: 1, minLength: 1 }))],
  min: [(x) => min(x!, 0), fc.tuple(arbitraryDistinct([3, 4]))],
  variance: [(x) => variance(x!, 1), fc.tuple(arbitraryValue([3, 4]))],
  standardDeviation: [(x) => standardDeviation(x!, 0), fc.tuple(arbitraryDistinct([3, 4]))],
  cumulativeSum: [(x) => square(cumulativeSum(x!, 0)), fc.tuple(arbitraryValue([4, 2]))],
  tokenLogProbabilities: [(x) => tokenLogProbabilities(x!, i32(2, -100, 0)), fc.tuple(arbitraryValue([3, 4]))],
  indexAdd: [
    (x, rows) => square(indexAdd(x!, i32(1, 0, 1), rows!)),
    fc.tuple(arbitraryValue([3, 2]), arbitraryValue([3, 2])),
  ],
  indexCopy: [
    (x, rows) => square(indexCopy(x!, i32(2, 0), rows!)),
    fc.tuple(arbitraryValue([3, 2]), arbitraryValue([2, 2])),
  ],
  maskedScatter: [
    (x, source) => square(maskedScatter(x!, bools(0, 1, 1), source!)),
    fc.tuple(arbitraryValue([3, 2]), arbitraryValue([4, 2])),
  ],
  permuteRowGroups: [(x) => square(permuteRowGroups(x!, i32(2, 0, 1), 2)), fc.tuple(arbitraryValue([6, 2]))],
  interpolateRows: [
    (table, weights) =>
      silu(interpolateRows(table!, { indices: tensor(Int32Array.of(0, 1, 1, 0), [2, 2]), weights: weights! })),
    fc.tuple(arbitraryValue([2, 3]), arbitraryValue([2, 2])),
  ],
};

describe('gradients against finite differences, first and second', () => {
  it.each(Object.keys(smooth))('%s', async (name) => {
    const [fn, inputs] = smooth[name]!;
    await fc.assert(
      fc.asyncProperty(inputs as fc.Arbitrary<HostTensor[]>, async (given) => {
        await checkGradients(fn, given);
        await checkGradients((...at) => vectorJacobianProduct([sum(silu(fn(...at)))], at, [full([], 1)]), given, {
          absolute: 1e-6,
          samples: 3,
        });
      }),
      { numRuns: 10 },
    );
  });
});
