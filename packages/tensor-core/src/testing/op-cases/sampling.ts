/** Cases of running sums and of the ops behind sampling. */
import fc from 'fast-check';
import type { HostTensor } from '../../op.js';
import { RandomStream } from '../../random/random-stream.js';
import { sizeOf } from '../../shape.js';
import { arbitraryLength, arbitrarySeed, arbitraryShape, arbitraryValue } from '../arbitrary-values.js';
import { exact } from '../tolerance.js';
import { type OpCase, firstInput, invocation, noInputs, sumTolerance } from './case.js';

const cumulativeSum: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(
        values === 'smooth'
          ? fc.constant('f32' as const)
          : fc.constantFrom('f32' as const, 'i32' as const, 'u32' as const),
        arbitraryShape({ minRank: 1, maxRank: 3, maxLength }),
        fc.boolean(),
      )
      .chain(([dtype, shape, reverse]) => {
        const range = values === 'extreme' ? 'moderate' : 'ordinary';
        return fc
          .tuple(arbitraryValue(shape, dtype, dtype === 'f32' ? range : 'words'), fc.nat(shape.length - 1))
          .map(([x, axis]) => invocation([x], { axis, reverse }));
      }),
  differentiable: firstInput,
  tolerance: { ...sumTolerance, absolute: 1e-3 },
};

/** Multiples of ¼ from `low` to `high`, whose sums are exact in any order. */
const quarters = (shape: readonly number[], low: number, high: number): fc.Arbitrary<HostTensor> =>
  arbitrarySeed().map((seed) => {
    const stream = RandomStream.fromSeed(seed);
    const quarter = (): number => low + stream.integer((high - low) * 4 + 1) / 4;
    return { shape, dtype: 'f32', data: Float32Array.from({ length: sizeOf(shape) }, quarter) };
  });

/** Ties and all magnitudes; masses below nothing and above everything. */
const massThreshold: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(arbitraryLength({ maxLength }), arbitraryLength({ maxLength }))
      .chain(([rows, classes]) =>
        fc
          .tuple(
            arbitraryValue([rows, classes], 'f32', values === 'extreme' ? 'special' : 'small'),
            quarters([rows, classes], 0, 2),
            quarters([rows], -1, classes + 2),
          )
          .map((operands) => invocation(operands)),
      ),
  differentiable: noInputs,
  tolerance: exact,
};

const multiHot: OpCase = {
  invocations: ({ maxLength }) =>
    fc
      .tuple(arbitraryLength({ maxLength }), arbitraryLength({ maxLength }), arbitraryLength({ maxLength }))
      .chain(([rows, length, classes]) =>
        fc
          .array(fc.integer({ min: -2, max: classes + 1 }), { minLength: rows * length, maxLength: rows * length })
          .map((ids) => invocation([{ shape: [rows, length], dtype: 'i32', data: Int32Array.from(ids) }], { classes })),
      ),
  differentiable: noInputs,
  tolerance: exact,
};

export const samplingCases: Readonly<Record<string, OpCase>> = { cumulativeSum, massThreshold, multiHot };
