/** Cases of the fused ops, forward and backward. */
import fc from 'fast-check';
import type { DType } from '../../dtype.js';
import { attentionPair } from '../../fused/attention.js';
import { geluTanhPair } from '../../fused/gelu-tanh.js';
import { geluPair } from '../../fused/gelu.js';
import { layerNormPair } from '../../fused/layer-norm.js';
import { rmsNormPair } from '../../fused/rms-norm.js';
import { ignoredLabel, softmaxCrossEntropyPair } from '../../fused/softmax-cross-entropy.js';
import { softmaxPair } from '../../fused/softmax.js';
import { swigluPair } from '../../fused/swiglu.js';
import type { Op } from '../../op.js';
import { arbitraryMask } from '../arbitrary-mask.js';
import {
  type ValueRange,
  arbitraryIndices,
  arbitraryLength,
  arbitrarySeedWords,
  arbitraryShape,
  arbitraryTensor,
  arbitraryValue,
} from '../arbitrary-values.js';
import {
  type CaseOptions,
  type OpCase,
  backwardCase,
  everyInput,
  firstInput,
  floatInputs,
  invocation,
  sumTolerance,
} from './case.js';

const rangeOf = (values: CaseOptions['values']): ValueRange => (values === 'extreme' ? 'moderate' : 'ordinary');

const gelu: OpCase = {
  invocations: ({ values, maxLength }) =>
    arbitraryTensor('f32', rangeOf(values), { maxLength }).map((x) => invocation([x])),
  differentiable: firstInput,
};

/** In the upper tail the gradient multiplies the rounding of 1 − σ by some x·a′. */
const geluTanh: OpCase = { ...gelu, tolerance: { absolute: 2e-6, relative: 1e-5 } };

const swiglu: OpCase = {
  invocations: ({ values, maxLength }) =>
    arbitraryShape({ maxLength }).chain((shape) => {
      const operand = arbitraryValue(shape, 'f32', rangeOf(values));
      return fc.tuple(operand, operand).map((operands) => invocation(operands));
    }),
  differentiable: everyInput,
};

const softmax: OpCase = {
  invocations: ({ values, maxLength }) =>
    arbitraryTensor('f32', values === 'extreme' ? 'scores' : 'ordinary', { minRank: 1, maxLength }).map((x) =>
      invocation([x]),
    ),
  differentiable: firstInput,
  tolerance: sumTolerance,
};

/** x [..., width] and `count` vectors [width]. The width is 1 or more: the mean of nothing is not a number. */
function norm(count: number): OpCase {
  return {
    invocations: ({ values, maxLength }) =>
      fc
        .tuple(arbitraryShape({ maxRank: 2, maxLength }), fc.integer({ min: 1, max: maxLength }))
        .chain(([lead, width]) =>
          fc
            .tuple(
              arbitraryValue([...lead, width], 'f32', rangeOf(values)),
              fc.constantFrom(1e-6, 1e-5, 0.1),
              ...Array.from({ length: count }, () => arbitraryValue([width])),
            )
            // Small epsilons make the function too steep for finite differences where a row is nearly constant.
            .map(([x, epsilon, ...vectors]) =>
              invocation([x, ...vectors], { epsilon: values === 'smooth' ? 0.1 : epsilon }),
            ),
        ),
    differentiable: everyInput,
    differentiableOutputs: [0],
    tolerance: { absolute: 1e-4, relative: 1e-4, norm: 1e-5 },
  };
}

const rope: OpCase = {
  invocations: ({ values, maxLength }) => {
    const length = arbitraryLength({ maxLength });
    return fc
      .tuple(fc.integer({ min: 0, max: 3 }), length, length, length, fc.boolean())
      .chain(([batch, heads, rows, half, shared]) => {
        const table = arbitraryValue([shared ? 1 : batch, rows, half]);
        return fc
          .tuple(arbitraryValue([batch, heads, rows, 2 * half], 'f32', rangeOf(values)), table, table)
          .map((operands) => invocation(operands));
      });
  },
  differentiable: firstInput,
  tolerance: { absolute: 1e-6, relative: 1e-5, norm: 1e-6 },
};

const dropout: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(
        arbitraryTensor('f32', rangeOf(values), { maxLength }),
        arbitrarySeedWords(),
        fc.constantFrom(0, 0.05, 0.5, 0.9),
        fc.nat(1000),
      )
      .map(([x, seed, probability, stream]) => invocation([x, seed], { probability, stream })),
  differentiable: firstInput,
};

const softmaxCrossEntropy: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc.tuple(arbitraryLength({ maxLength }), fc.integer({ min: 1, max: maxLength })).chain(([rows, classes]) => {
      const labels = arbitraryIndices([rows], classes + 1).map((value) => ({
        ...value,
        data: Int32Array.from(value.data, (label) => (label === classes ? ignoredLabel : label)),
      }));
      return fc
        .tuple(arbitraryValue([rows, classes], 'f32', rangeOf(values)), labels)
        .map((operands) => invocation(operands));
    }),
  differentiable: firstInput,
  tolerance: { absolute: 1e-4, relative: 1e-5, norm: 1e-5 },
};

const adamwStep: OpCase = {
  invocations: ({ values, maxLength }) =>
    arbitraryShape({ maxLength }).chain((shape) => {
      const value = arbitraryValue(shape, 'f32', rangeOf(values));
      const options = fc.record({
        beta1: fc.constantFrom(0, 0.5, 0.9),
        // Late second moments make the first steps steep in the correction 1 − β₂^t.
        beta2: values === 'smooth' ? fc.constant(0.5) : fc.constantFrom(0.5, 0.99, 0.999),
        epsilon: fc.constantFrom(1e-8, 1e-3),
        weightDecay: fc.constantFrom(0, 0.01, 0.5),
      });
      return fc
        .tuple(value, value, value, arbitraryValue(shape, 'f32', 'positive'), fc.integer({ min: 1, max: 50 }), options)
        .map(([parameter, gradient, first, second, step, attributes]) => {
          const rates = Float32Array.of(0.1 / step, 1 - attributes.beta1 ** step, 1 - attributes.beta2 ** step);
          return invocation(
            [parameter, gradient, first, second, { shape: [3], dtype: 'f32', data: rates }],
            attributes,
          );
        });
    }),
  differentiable: everyInput,
  // Moments of 10^3 may cancel to nearly nothing, which leaves their rounding: judged against the whole array.
  tolerance: { absolute: 1e-6, relative: 1e-5, norm: 1e-6 },
};

/** Any lengths, grouped queries, any mask or none; keys and values in one of the dtypes. */
const attention = (...dtypes: readonly DType[]): OpCase => ({
  invocations: ({ values, maxLength }) => {
    const length = arbitraryLength({ maxLength: Math.min(maxLength, 40) });
    const small = fc.integer({ min: 1, max: 2 });
    return fc
      .tuple(
        small,
        small,
        small,
        length,
        length,
        fc.integer({ min: 1, max: Math.min(maxLength, 64) }),
        fc.constantFrom(0.3, 1),
        fc.constantFrom(...dtypes),
      )
      .chain(([batch, keyHeads, group, queries, keys, width, scale, dtype]) =>
        fc
          .tuple(
            arbitraryValue([batch, keyHeads * group, queries, width], 'f32', rangeOf(values)),
            arbitraryValue([batch, keyHeads, keys, width], dtype),
            arbitraryValue([batch, keyHeads, keys, width], dtype, rangeOf(values)),
            fc.option(arbitraryMask({ batch, queries, keys })),
          )
          .map(([q, k, v, mask]) =>
            invocation([q, k, v, ...(mask?.operands ?? [])], { scale, mask: mask?.expression ?? null }),
          ),
      );
  },
  differentiable: floatInputs,
  differentiableOutputs: [0],
  tolerance: { absolute: 1e-4, relative: 1e-4, norm: 1e-5 },
});

/** Gradients of narrow keys and values are rounded, which no tolerance of f32 fits: `fused/attention.test.ts` has those. */
const attentionBackward = backwardCase(attention('f32'), attentionPair.forward as Op);

const pairs = [
  { forward: gelu, op: geluPair.forward as Op },
  { forward: geluTanh, op: geluTanhPair.forward as Op },
  { forward: norm(2), op: layerNormPair.forward as Op },
  { forward: norm(1), op: rmsNormPair.forward as Op },
  { forward: softmax, op: softmaxPair.forward as Op },
  { forward: softmaxCrossEntropy, op: softmaxCrossEntropyPair.forward as Op },
  { forward: swiglu, op: swigluPair.forward as Op },
];

export const fusedCases: Readonly<Record<string, OpCase>> = {
  rope,
  dropout,
  adamwStep,
  attention: attention('f32', 'f16', 'bf16'),
  attentionBackward,
  ...Object.fromEntries(
    pairs.flatMap(({ forward, op }) => [
      [op.name, forward],
      [`${op.name}Backward`, backwardCase(forward, op)],
    ]),
  ),
};
