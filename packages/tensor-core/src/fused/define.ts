/**
 * Fused ops that come as a pair: forward, and one backward op.
 *
 * The author writes the decomposition into primitives and plain loops for both directions. The backward op
 * `<name>Backward` takes the inputs, the outputs and the cotangent of output 0, and gives one gradient per float input.
 * Its own decomposition is derived: the gradient of the forward decomposition. So each pair of loops has an oracle that
 * nobody wrote twice, and second derivatives exist.
 */
import { vectorJacobianProduct } from '../autograd/gradients.js';
import { inline, trace } from '../graph/call.js';
import { isFloat } from '../dtype.js';
import { GradientError } from '../errors.js';
import { type Guard, type HostTensor, type Op, type Overwrite, type ReferenceCall, apply } from '../op.js';
import type { Tensor, TensorSpec } from '../tensor.js';

export interface BackwardCall<Attributes> {
  readonly inputs: readonly HostTensor[];
  readonly outputs: readonly HostTensor[];
  /** Cotangent of output 0. */
  readonly cotangent: HostTensor;
  /** Zero-filled, one per float input in order; the op writes its results here. */
  readonly gradients: readonly HostTensor[];
  readonly attributes: Attributes;
}

export interface FusedDefinition<Attributes extends object> {
  readonly name: string;
  infer(inputs: readonly TensorSpec[], attributes: Attributes): readonly TensorSpec[];
  decompose(inputs: readonly Tensor[], attributes: Attributes): readonly Tensor[];
  reference(call: ReferenceCall<Attributes>): void;
  backward(call: BackwardCall<Attributes>): void;
  /** Floating-point operations of the forward loops. */
  flops?(inputs: readonly TensorSpec[], attributes: Attributes): number;
  /** Floating-point operations of the backward loops, from the operands of the forward op. */
  backwardFlops?(inputs: readonly TensorSpec[], attributes: Attributes): number;
  /** Outputs of the forward op that may take over the bytes of an input. */
  overwrites?(inputs: readonly TensorSpec[], attributes: Attributes): readonly Overwrite[];
  /** The same for the gradients, over the operands of the backward op: inputs, outputs, cotangent. */
  backwardOverwrites?(operands: readonly TensorSpec[], attributes: Attributes): readonly Overwrite[];
  /** Checked before the forward op and before the backward op: either may run without the other. */
  readonly guard?: Guard<Attributes>;
}

export interface FusedPair<Attributes extends object> {
  readonly forward: Op<Attributes>;
  readonly backward: Op<BackwardAttributes<Attributes>>;
}

/** What a backward application carries: the forward attributes, and where its operand lists end. */
export interface BackwardAttributes<Attributes> {
  readonly forward: Attributes;
  readonly inputCount: number;
}

export function defineFused<Attributes extends object>(definition: FusedDefinition<Attributes>): FusedPair<Attributes> {
  const { name } = definition;
  const backward: Op<BackwardAttributes<Attributes>> = {
    name: `${name}Backward`,
    infer: (operands, { inputCount }) => operands.slice(0, inputCount).filter(({ dtype }) => isFloat(dtype)),
    decompose(operands, { forward: attributes, inputCount }) {
      // On placeholders: two inputs may be one tensor, or one computed from another, and each wants its own gradient.
      const body = trace((parameters) => {
        const inputs = parameters.slice(0, inputCount);
        const [result] = definition.decompose(inputs, attributes);
        return vectorJacobianProduct(
          [result!],
          inputs.filter(({ dtype }) => isFloat(dtype)),
          [parameters.at(-1)!],
        );
      }, operands);
      return inline(body, [...operands, ...body.captured]);
    },
    reference({ inputs: operands, outputs: gradients, attributes: { forward: attributes, inputCount } }) {
      definition.backward({
        inputs: operands.slice(0, inputCount),
        outputs: operands.slice(inputCount, -1),
        cotangent: operands.at(-1)!,
        gradients,
        attributes,
      });
    },
    ...(definition.backwardFlops && {
      flops: (operands, _gradients, { forward: attributes, inputCount }) =>
        definition.backwardFlops!(operands.slice(0, inputCount), attributes),
    }),
    ...(definition.backwardOverwrites && {
      overwrites: (operands, { forward: attributes }) => definition.backwardOverwrites!(operands, attributes),
    }),
    ...(definition.guard && {
      guard: {
        operands: definition.guard.operands,
        check: ({ inputs, data, attributes: { forward: attributes, inputCount } }) =>
          definition.guard!.check({ inputs: inputs.slice(0, inputCount), data, attributes }),
      },
    }),
  };
  const forward: Op<Attributes> = {
    name,
    infer: (inputs, attributes) => definition.infer(inputs, attributes),
    decompose: (inputs, attributes) => definition.decompose(inputs, attributes),
    reference: (call) => definition.reference(call),
    vjp({ inputs, outputs, cotangents, attributes }) {
      if (cotangents.slice(1).some(Boolean))
        throw new GradientError(
          `${name}: only its first output has a gradient, the others are kept for the backward pass`,
        );
      const gradients = apply(backward, [...inputs, ...outputs, cotangents[0]!], {
        forward: attributes,
        inputCount: inputs.length,
      });
      let next = 0;
      return inputs.map(({ dtype }) => (isFloat(dtype) ? gradients[next++] : undefined));
    },
    ...(definition.flops && { flops: (inputs, _outputs, attributes) => definition.flops!(inputs, attributes) }),
    ...(definition.overwrites && {
      overwrites: (inputs, attributes) => definition.overwrites!(inputs, attributes),
    }),
    ...(definition.guard && { guard: definition.guard }),
  };
  return { forward, backward };
}
