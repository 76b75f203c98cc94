/**
 * Reverse-mode differentiation as a graph transform.
 *
 * Let L = Σ_i ⟨cotangent_i, output_i⟩. Walking the nodes that lie between the inputs and the outputs in reverse
 * topological order, each op's `vjp` turns the cotangents of its outputs into graph for the cotangents of its inputs;
 * contributions to one tensor add up. The result is more graph: it can be evaluated, compiled, or differentiated again.
 */
import { isFloat } from '../dtype.js';
import { GradientError } from '../errors.js';
import { inline, trace } from '../graph/call.js';
import { topologicalOrder } from '../graph/visit.js';
import { full, noGradient } from '../op.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import { formatShape, sameShape } from '../shape.js';
import type { GraphNode, Tensor } from '../tensor.js';

export interface JacobianOptions {
  /** Treat the inputs as variables of their own, even where one is computed from another (partial derivatives). */
  readonly independent?: boolean;
}

/**
 * Vector-Jacobian product of a graph.
 *
 * @param cotangents one per output, of its shape.
 * @returns one tensor per input, of its shape; zeros for an input that the outputs do not depend on.
 * @throws GradientError when an op on the way has no gradient, or a cotangent has another shape than its output.
 */
export function vectorJacobianProduct(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  cotangents: readonly Tensor[],
  options: JacobianOptions = {},
): Tensor[] {
  outputs.forEach((output, i) => {
    if (output.computedBy !== undefined && !inputs.includes(output))
      throw new GradientError(
        `output ${i} (${output.dtype}${formatShape(output.shape)}) was evaluated before its gradient was taken and has forgotten how ${output.computedBy} computed it: take the gradient first, or evaluate value and gradient together`,
      );
  });
  const accumulated = reverseWalk(outputs, inputs, cotangents, options);
  return inputs.map((input) => accumulated.get(input) ?? full(input.shape, 0, input.dtype));
}

/** The cotangents of all tensors that gradients reach; an input that is missing has none because nothing depends on it. */
function reverseWalk(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  cotangents: readonly Tensor[],
  { independent = false }: JacobianOptions = {},
): ReadonlyMap<Tensor, Tensor> {
  const order = topologicalOrder(outputs);
  const needed = dependents(order, inputs);
  const ends = new Set(independent ? inputs : []);
  const accumulated = new Map<Tensor, Tensor>();
  const accumulate = (tensor: Tensor, cotangent: Tensor): void => {
    const before = accumulated.get(tensor);
    accumulated.set(tensor, before ? addCotangents(before, cotangent) : cotangent);
  };
  outputs.forEach((output, i) => {
    const cotangent = cotangents[i];
    if (!cotangent || !sameShape(cotangent.shape, output.shape)) {
      throw new GradientError(
        `output ${i} (${output.dtype}${formatShape(output.shape)}) needs a cotangent of its shape, got ${cotangent ? formatShape(cotangent.shape) : 'none'}`,
      );
    }
    if (needed.has(output)) accumulate(output, cotangent);
  });
  for (const node of order.reverse()) {
    if (node.op.stopsGradient || !node.inputs.some((input) => needed.has(input))) continue;
    const arrived = node.outputs.map((output) => (ends.has(output) ? undefined : accumulated.get(output)));
    if (arrived.every((cotangent) => cotangent === undefined)) continue;
    const flowing = backwardOf(
      node,
      arrived,
      node.inputs.map((input) => needed.has(input)),
    );
    node.inputs.forEach((input, i) => {
      const cotangent = flowing[i];
      if (!needed.has(input) || cotangent === 'zero') return;
      if (!cotangent)
        throw new GradientError(
          `${node.op.name} gives no gradient for its input ${i} (${input.dtype}${formatShape(input.shape)})`,
        );
      if (!sameShape(cotangent.shape, input.shape)) {
        throw new GradientError(
          `${node.op.name}: the gradient of input ${i} has shape ${formatShape(cotangent.shape)} instead of ${formatShape(input.shape)}`,
        );
      }
      accumulate(input, cotangent);
    });
  }
  return accumulated;
}

/** f16 and bf16 only store values, so their cotangents are added in f32. */
const addCotangents = (a: Tensor, b: Tensor): Tensor =>
  a.dtype === 'f32' ? add(a, b) : cast(add(cast(a, 'f32'), cast(b, 'f32')), a.dtype);

/** The tensors through which gradients reach `inputs`: float values computed from them without a stop in between. */
function dependents(order: readonly GraphNode[], inputs: readonly Tensor[]): Set<Tensor> {
  const needed = new Set<Tensor>(inputs);
  for (const node of order) {
    if (node.op.stopsGradient || !node.inputs.some((input) => needed.has(input))) continue;
    for (const output of node.outputs) if (isFloat(output.dtype)) needed.add(output);
  }
  return needed;
}

/** `undefined` where no gradient is defined, `'zero'` where the op does not depend on the input (it only reads it). */
type Cotangent = Tensor | undefined | 'zero';

function backwardOf(
  node: GraphNode,
  cotangents: readonly (Tensor | undefined)[],
  needed: readonly boolean[],
): readonly Cotangent[] {
  const { op, inputs, outputs, attributes } = node;
  if (op.vjp) return op.vjp({ inputs, outputs, cotangents, attributes, needed });
  if (!op.decompose) throw noGradient(op);
  const isFlowing = cotangents.map((cotangent) => cotangent !== undefined);
  const operands = [...inputs, ...cotangents.filter((cotangent) => cotangent !== undefined)];
  const reached: boolean[] = [];
  // On placeholders: two inputs may be one tensor, or one computed from another, and each wants its own gradient.
  const body = trace((parameters) => {
    const own = parameters.slice(0, inputs.length);
    const results = op.decompose!(own, attributes).filter((_, i) => isFlowing[i]);
    const wanted = own.filter((_, i) => needed[i]);
    const accumulated = reverseWalk(results, wanted, parameters.slice(inputs.length));
    for (const input of own) reached.push(accumulated.has(input));
    return own.flatMap((input) => accumulated.get(input) ?? []);
  }, operands);
  const gradients = inline(body, [...operands, ...body.captured]);
  let next = 0;
  return inputs.map((_, i) => (reached[i] ? gradients[next++] : 'zero'));
}
