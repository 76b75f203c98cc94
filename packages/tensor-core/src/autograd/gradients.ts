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
): Tensor[] {
  const order = topologicalOrder(outputs);
  const needed = dependents(order, inputs);
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
    if (!node.inputs.some((input) => needed.has(input))) continue;
    if (!node.outputs.some((output) => needed.has(output) && accumulated.has(output))) continue;
    const flowing = backwardOf(
      node,
      node.outputs.map((output) => accumulated.get(output)),
    );
    node.inputs.forEach((input, i) => {
      if (!needed.has(input)) return;
      const cotangent = flowing[i];
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
  return inputs.map((input) => accumulated.get(input) ?? full(input.shape, 0, input.dtype));
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

function backwardOf(node: GraphNode, cotangents: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[] {
  const { op, inputs, outputs, attributes } = node;
  if (op.vjp) return op.vjp({ inputs, outputs, cotangents, attributes });
  if (!op.decompose) throw noGradient(op);
  const flowing = cotangents.filter((cotangent) => cotangent !== undefined);
  const isFlowing = cotangents.map((cotangent) => cotangent !== undefined);
  // On placeholders: two inputs may be one tensor, or one computed from another, and each wants its own gradient.
  const body = trace(
    (parameters) => {
      const results = op.decompose!(parameters.slice(0, inputs.length), attributes);
      return vectorJacobianProduct(
        results.filter((_, i) => isFlowing[i]),
        parameters.slice(0, inputs.length).filter((input) => isFloat(input.dtype)),
        parameters.slice(inputs.length),
      );
    },
    [...inputs, ...flowing],
  );
  const gradients = inline(body, [...inputs, ...flowing, ...body.captured]);
  let next = 0;
  return inputs.map((input) => (isFloat(input.dtype) ? gradients[next++] : undefined));
}
