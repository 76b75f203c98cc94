/** `grad`, `valueAndGrad`, `customGrad` and `checkpoint`: the faces of the reverse walk in `gradients.ts`. */
import { GradientError } from '../errors.js';
import { callOp, inline, trace } from '../graph/call.js';
import { asRecomputation } from '../graph/region.js';
import { apply, applyOne, full } from '../op.js';
import { barrier } from '../ops/barrier.js';
import { formatShape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { flatten, mapTree, unflatten } from '../tree.js';
import { vectorJacobianProduct } from './gradients.js';

/**
 * `fn` together with its gradient in its first argument, a tensor or a tree of tensors.
 *
 * `fn` returns one f32 scalar, or `[scalar, extra]` where `extra` is passed through undifferentiated.
 * The result is `[what fn returned, gradients shaped like the first argument]`.
 */
export function valueAndGrad<
  First,
  Rest extends readonly unknown[],
  Result extends Tensor | readonly [Tensor, unknown],
>(fn: (first: First, ...rest: Rest) => Result): (first: First, ...rest: Rest) => [Result, First] {
  return (given, ...rest) => {
    const first = independent(given);
    const result = fn(first, ...rest);
    const value: Tensor = result instanceof Tensor ? result : result[0];
    if (value.rank !== 0 || value.dtype !== 'f32') {
      throw new GradientError(
        `grad needs a function to an f32 scalar, it returned ${value.dtype}${formatShape(value.shape)}: reduce it with sum or mean`,
      );
    }
    const inputs = flatten(first);
    return [result, unflatten(first, vectorJacobianProduct([value], inputs, [full([], 1)], { independent: true }))];
  };
}

/** The tree with each leaf a variable of its own, even where one tensor stands twice. */
function independent<T>(tree: T): T {
  const variables = new Set<Tensor>();
  return mapTree(tree, (leaf) => {
    const variable = variables.has(leaf) ? barrier(leaf) : leaf;
    variables.add(variable);
    return variable;
  });
}

/** The gradient of a scalar function in its first argument (jax.grad). */
export function grad<First, Rest extends readonly unknown[]>(
  fn: (first: First, ...rest: Rest) => Tensor,
): (first: First, ...rest: Rest) => First {
  const both = valueAndGrad(fn);
  return (first, ...rest) => both(first, ...rest)[1];
}

/**
 * A function with a gradient of its own making.
 *
 * `backward` gets the inputs, the output and its cotangent, and returns one cotangent per input. A tensor that `forward`
 * closes over has no gradient: asking for one throws.
 */
export function customGrad(
  forward: (...inputs: Tensor[]) => Tensor,
  backward: (inputs: readonly Tensor[], output: Tensor, cotangent: Tensor) => readonly Tensor[],
): (...inputs: Tensor[]) => Tensor {
  return (...inputs) => {
    const body = trace((parameters) => [forward(...parameters)], inputs);
    return applyOne(callOp, [...inputs, ...body.captured], {
      body,
      backward: (node, [cotangent]) => [
        ...backward(node.inputs.slice(0, inputs.length), node.outputs[0]!, cotangent!),
        ...body.captured.map(() => undefined),
      ],
    });
  };
}

/**
 * `fn` whose intermediate values are not kept for the backward pass but computed again (torch.utils.checkpoint).
 *
 * Memory: between forward and backward only the inputs live. Tensors that `fn` closes over get gradients too.
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor): (...inputs: Tensor[]) => Tensor {
  return (...inputs) => {
    const body = trace((parameters) => [fn(...parameters)], inputs);
    return apply(callOp, [...inputs, ...body.captured], {
      body,
      backward: (node, cotangents, needed) => {
        // The cotangent comes first: a layer is computed again only when its gradient is about to be.
        const again = node.inputs.map((input) => barrier(input, cotangents[0]!));
        const wanted = again.filter((_, i) => needed[i]);
        const results = asRecomputation(() => inline(body, again));
        const gradients = vectorJacobianProduct(results, wanted, [cotangents[0]!]);
        return again.map((input) => gradients[wanted.indexOf(input)]);
      },
    })[0]!;
  };
}
