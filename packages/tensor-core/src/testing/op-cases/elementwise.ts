/** Cases of the ops that act on one element at a time, and of the sources of constants. */
import fc from 'fast-check';
import { type DType, hostView } from '../../dtype.js';
import {
  type ValueRange,
  arbitraryBroadcastPair,
  arbitraryBroadcastShapes,
  arbitrarySeedWords,
  arbitraryShape,
  arbitraryTensor,
  arbitraryValue,
} from '../arbitrary-values.js';
import { type Tolerance, exact } from '../tolerance.js';
import {
  type CaseOptions,
  type OpCase,
  type Ranges,
  everyInput,
  firstInput,
  floatInputs,
  invocation,
  moderateRanges,
  noInputs,
  nonzeroRanges,
  ordinaryRanges,
  positiveRanges,
} from './case.js';

const rounding: Tolerance = { ulps: 2 };
const transcendental: Tolerance = { absolute: 1e-6, relative: 1e-5, ulps: 8 };

function unary(ranges: Ranges, tolerance: Tolerance, dtypes: readonly DType[] = ['f32']): OpCase {
  return {
    invocations: ({ values, maxLength }) =>
      dtypesFor(values, dtypes)
        .chain((dtype) => arbitraryTensor(dtype, rangeFor(dtype, values, ranges), { maxLength }))
        .map((x) => invocation([x])),
    differentiable: everyInput,
    tolerance,
  };
}

const dtypesFor = (values: CaseOptions['values'], dtypes: readonly DType[]): fc.Arbitrary<DType> =>
  values === 'smooth' && dtypes.includes('f32') ? fc.constant('f32') : fc.constantFrom(...dtypes);

const rangeFor = (dtype: DType, values: CaseOptions['values'], ranges: Ranges): ValueRange => {
  if (dtype !== 'i32' && dtype !== 'u32') return ranges[values];
  return values === 'extreme' ? 'words' : 'small';
};

interface BinaryOptions {
  readonly left?: Ranges;
  readonly right?: Ranges;
  readonly dtypes?: readonly DType[];
  readonly tolerance?: Tolerance;
  readonly differentiable?: OpCase['differentiable'];
}

const numeric: readonly DType[] = ['f32', 'i32', 'u32'];

function binary({
  left = ordinaryRanges,
  right = left,
  dtypes = numeric,
  tolerance = rounding,
  differentiable = everyInput,
}: BinaryOptions = {}): OpCase {
  return {
    invocations: ({ values, maxLength }) =>
      fc
        .tuple(dtypesFor(values, dtypes), arbitraryBroadcastPair({ maxLength }))
        .chain(([dtype, [a, b]]) =>
          fc
            .tuple(
              arbitraryValue(a, dtype, rangeFor(dtype, values, left)),
              arbitraryValue(b, dtype, rangeFor(dtype, values, right)),
            )
            .map((operands) => invocation(operands)),
        ),
    differentiable,
    tolerance,
  };
}

const comparison = (): OpCase =>
  binary({
    left: { ordinary: 'small', extreme: 'special', smooth: 'ordinary' },
    dtypes: [...numeric, 'bool'],
    tolerance: exact,
    differentiable: noInputs,
  });

/** Operands on two grids that never meet, so that the larger one is never in doubt. */
const grids = {
  left: { ...ordinaryRanges, smooth: 'evenGrid' },
  right: { ...ordinaryRanges, smooth: 'oddGrid' },
} as const;

const logical = binary({ dtypes: ['bool'], tolerance: exact, differentiable: noInputs });

const select: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypesFor(values, [...numeric, 'bool', 'f16']), arbitraryBroadcastShapes(3, { maxLength }))
      .chain(([dtype, [c, a, b]]) => {
        const branch = (shape: readonly number[]) =>
          arbitraryValue(shape, dtype, rangeFor(dtype, values, ordinaryRanges));
        return fc.tuple(arbitraryValue(c!, 'bool'), branch(a!), branch(b!)).map((operands) => invocation(operands));
      }),
  differentiable: floatInputs,
  tolerance: exact,
};

const allDtypes: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'bool'];

/** Conversions between all dtypes of numbers that both can hold. */
const cast: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(dtypesFor(values, allDtypes), dtypesFor(values, allDtypes), arbitraryShape({ maxLength }))
      .chain(([from, to, shape]) => {
        const whole = ['i32', 'u32'];
        const anything = values === 'extreme' && !whole.includes(from) && !whole.includes(to);
        const range: ValueRange = anything ? 'special' : from === 'u32' || to === 'u32' ? 'positive' : 'moderate';
        return arbitraryValue(shape, from, range).map((x) => invocation([x], { dtype: to }));
      }),
  differentiable: firstInput,
  tolerance: exact,
};

const copy = (differentiable: OpCase['differentiable']): OpCase => ({
  ...unary(ordinaryRanges, exact, allDtypes),
  differentiable,
});

const words: readonly DType[] = ['f32', 'i32', 'u32'];

/** Any bits but those of NaN, of which only that they are NaN is certain. */
const bitcast: OpCase = {
  invocations: ({ maxLength }) =>
    fc
      .tuple(fc.constantFrom(...words), fc.constantFrom(...words), arbitraryTensor('u32', 'words', { maxLength }))
      .map(([from, to, { shape, data }]) => {
        const bits = Uint32Array.from(data, (word) => (((word >>> 23) & 0xff) === 0xff ? word & 0xff7fffff : word));
        return invocation([{ shape, dtype: from, data: hostView(bits.buffer, 0, { shape, dtype: from }) }], {
          dtype: to,
        });
      }),
  differentiable: noInputs,
  tolerance: exact,
};

const shiftRight: OpCase = {
  invocations: ({ maxLength }) =>
    fc.tuple(arbitraryTensor('u32', 'words', { maxLength }), fc.nat(31)).map(([x, bits]) => invocation([x], { bits })),
  differentiable: noInputs,
  tolerance: exact,
};

const wholeDtypes: readonly DType[] = ['i32', 'u32', 'bool'];

const full: OpCase = {
  invocations: ({ maxLength }) =>
    fc
      .tuple(arbitraryShape({ maxLength }), fc.constantFrom(...allDtypes), fc.float({ min: -100, max: 100 }))
      .map(([shape, dtype, value]) =>
        invocation([], { shape, dtype, value: wholeDtypes.includes(dtype) ? Number(value > 0) : value }),
      ),
  differentiable: noInputs,
  tolerance: exact,
};

const iota: OpCase = {
  invocations: ({ maxLength }) =>
    fc
      .tuple(fc.nat(maxLength), fc.constantFrom(...numeric))
      .map(([length, dtype]) => invocation([], { length, dtype })),
  differentiable: noInputs,
  tolerance: exact,
};

const randomBits: OpCase = {
  invocations: ({ maxLength }) =>
    fc
      .tuple(arbitrarySeedWords(), arbitraryShape({ maxLength }), fc.nat())
      .map(([seed, shape, stream]) => invocation([seed], { shape, stream })),
  differentiable: noInputs,
  tolerance: exact,
};

/** sin and cos of large angles depend on how π is reduced in f32. */
const angles: Tolerance = { ...transcendental, absolute: 1e-4 };

export const elementwiseCases: Readonly<Record<string, OpCase>> = {
  full,
  iota,
  randomBits,
  neg: unary(ordinaryRanges, exact, ['f32', 'i32']),
  abs: unary({ ...ordinaryRanges, smooth: 'nonzero' }, exact),
  exp: unary(ordinaryRanges, transcendental),
  log: unary(positiveRanges, transcendental),
  sqrt: unary(positiveRanges, rounding),
  rsqrt: unary(positiveRanges, transcendental),
  sin: unary(moderateRanges, angles),
  cos: unary(moderateRanges, angles),
  tanh: unary(ordinaryRanges, transcendental),
  sigmoid: unary(ordinaryRanges, transcendental),
  erf: unary(ordinaryRanges, transcendental),
  floor: { ...unary(ordinaryRanges, exact), differentiable: noInputs },
  add: binary(),
  sub: binary(),
  mul: binary(),
  div: binary({ dtypes: ['f32'], right: nonzeroRanges, tolerance: { ulps: 4 } }),
  maximum: binary({ ...grids, tolerance: exact }),
  minimum: binary({ ...grids, tolerance: exact }),
  equal: comparison(),
  less: comparison(),
  lessEqual: comparison(),
  logicalAnd: logical,
  logicalOr: logical,
  logicalNot: { ...unary(ordinaryRanges, exact, ['bool']), differentiable: noInputs },
  select,
  cast,
  bitcast,
  shiftRight,
  stopGradient: copy(noInputs),
  barrier: copy(everyInput),
};
