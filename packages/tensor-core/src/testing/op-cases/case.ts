/**
 * What a property test needs to know about an op: how to make applications of it, where it has gradients, and how far two
 * correct engines may differ.
 */
import fc from 'fast-check';
import type { HostTensor, Op } from '../../op.js';
import { formatShape } from '../../shape.js';
import { type ValueRange, arbitrarySeed, seededValue } from '../arbitrary-values.js';
import { runReference } from '../host.js';
import type { Tolerance } from '../tolerance.js';

/** One application of an op to host values. */
export interface OpInvocation {
  readonly inputs: readonly HostTensor[];
  readonly attributes: object;
}

export interface CaseOptions {
  /**
   * `ordinary`: numbers of everyday size, any accepted dtype. `extreme`: as far as the op is defined, with NaN, infinities
   * and large magnitudes. `smooth`: f32 away from kinks, poles and ties, so that finite differences are meaningful.
   */
  readonly values: 'ordinary' | 'extreme' | 'smooth';
  /** Largest size of one axis. */
  readonly maxLength: number;
}

export interface OpCase {
  invocations(options: CaseOptions): fc.Arbitrary<OpInvocation>;
  /** Places of the inputs that gradients flow to. */
  readonly differentiable: (invocation: OpInvocation) => readonly number[];
  /** Outputs that gradients flow from; all when left out. */
  readonly differentiableOutputs?: readonly number[];
  /** Between two f32 engines; the default of the dtype when left out. */
  readonly tolerance?: Tolerance;
}

/** An invocation that prints as its specs, not as its numbers. */
export function invocation(inputs: readonly HostTensor[], attributes: object = {}): OpInvocation {
  const print = (): string => {
    const specs = inputs.map(
      ({ dtype, shape, data }) =>
        `${dtype}${formatShape(shape)} = {${data.slice(0, 12).join(', ')}${data.length > 12 ? ', …' : ''}}`,
    );
    return `(${specs.join('; ')}) ${JSON.stringify(attributes)}`;
  };
  return Object.defineProperty({ inputs, attributes }, fc.toStringMethod, { value: print });
}

export const noInputs = (): readonly number[] => [];
export const everyInput = ({ inputs }: OpInvocation): readonly number[] => inputs.map((_, place) => place);
/** The f32 inputs. */
export const floatInputs = ({ inputs }: OpInvocation): readonly number[] =>
  everyInput({ inputs, attributes: {} }).filter((place) => inputs[place]!.dtype === 'f32');
export const firstInput = (): readonly number[] => [0];

/** One range for each kind of values. */
export type Ranges = Readonly<Record<CaseOptions['values'], ValueRange>>;

export const ordinaryRanges: Ranges = { ordinary: 'ordinary', extreme: 'special', smooth: 'ordinary' };
export const moderateRanges: Ranges = { ordinary: 'ordinary', extreme: 'moderate', smooth: 'ordinary' };
export const positiveRanges: Ranges = { ordinary: 'positive', extreme: 'special', smooth: 'positive' };
export const nonzeroRanges: Ranges = { ordinary: 'nonzero', extreme: 'special', smooth: 'nonzero' };

/** Sums of a few hundred products in another order. */
export const sumTolerance: Tolerance = { absolute: 1e-6, relative: 1e-5, norm: 1e-6 };

/** The backward op of a fused pair, applied to what its forward gave and to a random cotangent. */
export function backwardCase(forward: OpCase, op: Op): OpCase {
  return {
    invocations: (options) =>
      fc.tuple(forward.invocations(options), arbitrarySeed()).map(([{ inputs, attributes }, seed]) => {
        const outputs = runReference(op, inputs, attributes);
        const cotangent = seededValue(outputs[0]!.shape, 'f32', 'ordinary', seed);
        return invocation([...inputs, ...outputs, cotangent], { forward: attributes, inputCount: inputs.length });
      }),
    // The outputs among the operands are functions of the inputs: the gradient reaches those through the decomposition.
    differentiable: ({ inputs, attributes }) => {
      const { inputCount } = attributes as { readonly inputCount: number };
      return floatInputs({ inputs, attributes }).filter((place) => place < inputCount || place === inputs.length - 1);
    },
    ...(forward.tolerance && { tolerance: forward.tolerance }),
  };
}
