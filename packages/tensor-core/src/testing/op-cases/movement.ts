/** Cases of the ops that move elements, reduce them, or multiply matrices. */
import fc from 'fast-check';
import type { DType } from '../../dtype.js';
import type { HostTensor } from '../../op.js';
import {
  type ShapeOptions,
  arbitraryBroadcastPair,
  arbitraryDistinct,
  arbitraryIndices,
  arbitraryLength,
  arbitraryShape,
  arbitraryValue,
} from '../arbitrary-values.js';
import { broadcastShapes } from '../../shape.js';
import { exact } from '../tolerance.js';
import { type CaseOptions, type OpCase, everyInput, firstInput, invocation, noInputs, sumTolerance } from './case.js';

/** f32 for smooth values, else any of `dtypes`. */
const dtypeFor = (values: CaseOptions['values'], dtypes: readonly DType[]): fc.Arbitrary<DType> =>
  values === 'smooth' ? fc.constant('f32') : fc.constantFrom(...dtypes);

const everyDtype: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'bool'];
const numeric: readonly DType[] = ['f32', 'i32', 'u32'];

/** An op that moves the elements of one tensor; `attributes` fits its shape. */
function movement(attributes: (shape: readonly number[]) => fc.Arbitrary<object>, options: ShapeOptions = {}): OpCase {
  return {
    invocations: ({ values, maxLength }) =>
      fc
        .tuple(dtypeFor(values, everyDtype), arbitraryShape({ ...options, maxLength }))
        .chain(([dtype, shape]) =>
          fc
            .tuple(arbitraryValue(shape, dtype, values === 'extreme' ? 'special' : 'ordinary'), attributes(shape))
            .map(([x, chosen]) => invocation([x], chosen)),
        ),
    differentiable: firstInput,
    tolerance: exact,
  };
}

const axisOf = (shape: readonly number[]): fc.Arbitrary<number> => fc.nat(shape.length - 1);

const reshape = movement((shape) =>
  fc
    .tuple(fc.shuffledSubarray([...shape], { minLength: shape.length }), fc.boolean())
    .map(([order, flat]) => ({ shape: flat ? [shape.reduce((product, size) => product * size, 1)] : [...order, 1] })),
);

const permute = movement((shape) =>
  fc
    .shuffledSubarray(
      shape.map((_, axis) => axis),
      { minLength: shape.length },
    )
    .map((axes) => ({ axes })),
);

const slice = movement((shape) =>
  fc
    .tuple(
      ...shape.map((size) =>
        fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
      ),
    )
    .map((bounds) => ({ start: bounds.map(([start]) => start), end: bounds.map(([, end]) => end) })),
);

const pad = movement(
  (shape) => {
    const widths = fc.array(fc.nat(2), { minLength: shape.length, maxLength: shape.length });
    return fc.record({ before: widths, after: widths });
  },
  { maxRank: 3 },
);

const broadcastTo: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypeFor(values, everyDtype), arbitraryBroadcastPair({ maxLength }))
      .chain(([dtype, [from, other]]) =>
        arbitraryValue(from, dtype).map((x) => invocation([x], { shape: broadcastShapes(from, other, 'broadcastTo') })),
      ),
  differentiable: firstInput,
  tolerance: exact,
};

const withLength = (shape: readonly number[], axis: number, length: number): number[] =>
  shape.map((size, i) => (i === axis ? length : size));

const concat: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypeFor(values, everyDtype), arbitraryShape({ minRank: 1, maxLength }))
      .chain(([dtype, shape]) =>
        fc
          .tuple(axisOf(shape), fc.array(arbitraryLength({ maxLength: 4 }), { minLength: 1, maxLength: 4 }))
          .chain(([axis, lengths]) =>
            fc
              .tuple(...lengths.map((length) => arbitraryValue(withLength(shape, axis, length), dtype)))
              .map((pieces: HostTensor[]) => invocation(pieces, { axis })),
          ),
      ),
  differentiable: everyInput,
  tolerance: exact,
};

const updateSlice: OpCase = {
  invocations: ({ maxLength }) =>
    fc.tuple(fc.constantFrom(...everyDtype), arbitraryShape({ minRank: 1, maxLength })).chain(([dtype, shape]) =>
      axisOf(shape).chain((axis) =>
        fc.tuple(fc.nat(shape[axis]!), fc.nat(shape[axis]!), fc.boolean()).chain(([a, b, scalar]) => {
          const [start, length] = [Math.min(a, b), Math.max(a, b) - Math.min(a, b)];
          const position: HostTensor = { shape: scalar ? [] : [1], dtype: 'i32', data: Int32Array.of(start) };
          return fc
            .tuple(arbitraryValue(shape, dtype), arbitraryValue(withLength(shape, axis, length), dtype))
            .map(([target, update]) => invocation([target, update, position], { axis }));
        }),
      ),
    ),
  differentiable: noInputs,
  tolerance: exact,
};

/** Indices of any shape into `rows` rows; no indices where there are no rows. */
const indicesInto = (rows: number, maxLength: number): fc.Arbitrary<HostTensor> =>
  arbitraryShape({ maxRank: 2, maxLength }).chain((shape) =>
    rows === 0
      ? fc.constant({ shape: [0], dtype: 'i32' as const, data: new Int32Array(0) })
      : arbitraryIndices(shape, rows),
  );

const gather: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypeFor(values, everyDtype), arbitraryShape({ minRank: 1, maxRank: 3, maxLength }))
      .chain(([dtype, shape]) =>
        fc
          .tuple(arbitraryValue(shape, dtype), indicesInto(shape[0]!, maxLength))
          .map((operands) => invocation(operands)),
      ),
  differentiable: firstInput,
  tolerance: exact,
};

const scatterAdd: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypeFor(values, numeric), arbitraryLength({ maxLength }), arbitraryShape({ maxRank: 2, maxLength }))
      .chain(([dtype, rows, row]) =>
        indicesInto(rows, maxLength).chain((indices) =>
          arbitraryValue([...indices.shape, ...row], dtype).map((updates) => invocation([updates, indices], { rows })),
        ),
      ),
  differentiable: firstInput,
  tolerance: sumTolerance,
};

const reduction = (
  shape: readonly number[],
): fc.Arbitrary<{ readonly axes: number[]; readonly keepDimensions: boolean }> =>
  fc.record({ axes: fc.subarray(shape.map((_, axis) => axis)), keepDimensions: fc.boolean() });

const sum: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypeFor(values, numeric), arbitraryShape({ maxLength }))
      .chain(([dtype, shape]) =>
        fc
          .tuple(arbitraryValue(shape, dtype, values === 'extreme' ? 'moderate' : 'ordinary'), reduction(shape))
          .map(([x, attributes]) => invocation([x], attributes)),
      ),
  differentiable: firstInput,
  tolerance: { ...sumTolerance, absolute: 1e-4 },
};

/** Without empty reductions where it must be smooth: the largest of nothing has no gradient. */
const max: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypeFor(values, numeric), arbitraryShape({ maxLength, minLength: values === 'smooth' ? 1 : 0 }))
      .chain(([dtype, shape]) => {
        const range = dtype === 'f32' && values === 'extreme' ? 'special' : 'ordinary';
        const x =
          values === 'smooth'
            ? arbitraryDistinct(shape)
            : arbitraryValue(shape, dtype, dtype === 'f32' ? range : 'words');
        return fc.tuple(x, reduction(shape)).map(([operand, attributes]) => invocation([operand], attributes));
      }),
  differentiable: firstInput,
  tolerance: exact,
};

const argmax: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(
        fc.constantFrom(...numeric),
        arbitraryShape({ maxRank: 3, maxLength }),
        fc.integer({ min: 1, max: maxLength }),
      )
      .chain(([dtype, lead, width]) => {
        const range = dtype === 'f32' && values === 'extreme' ? 'special' : 'small';
        return arbitraryValue([...lead, width], dtype, range).map((x) => invocation([x]));
      }),
  differentiable: noInputs,
  tolerance: exact,
};

const matmul: OpCase = {
  invocations: ({ values, maxLength }) => {
    const length = arbitraryLength({ maxLength });
    const range = values === 'extreme' ? 'moderate' : 'ordinary';
    return fc
      .tuple(arbitraryShape({ maxRank: 2, maxLength: 3 }), length, length, length, fc.boolean(), fc.boolean())
      .chain(([batch, m, n, k, transposeA, transposeB]) => {
        const a = [...batch, ...(transposeA ? [k, m] : [m, k])];
        const b = [...batch, ...(transposeB ? [n, k] : [k, n])];
        return fc
          .tuple(arbitraryValue(a, 'f32', range), arbitraryValue(b, 'f32', range))
          .map((operands) => invocation(operands, { transposeA, transposeB }));
      });
  },
  differentiable: everyInput,
  tolerance: sumTolerance,
};

export const movementCases: Readonly<Record<string, OpCase>> = {
  reshape,
  permute,
  broadcastTo,
  slice,
  pad,
  concat,
  updateSlice,
  gather,
  scatterAdd,
  sum,
  max,
  argmax,
  matmul,
};
