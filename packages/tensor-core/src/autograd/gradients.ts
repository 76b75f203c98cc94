/**
 * Reverse-mode differentiation as a graph transform.
 *
 * Let L = Σ_i ⟨cotangent_i, output_i⟩. Walking the nodes that lie between the inputs and the outputs in reverse
 * topological order, each op's `vjp` turns the cotangents of its outputs into graph for the cotangents of its inputs;
 * contributions to one tensor add up. The result is more graph: it can be evaluated, compiled, or differentiated again.
 */
import { isFloat } from '../dtype.js';
import { GradientError } from '../errors.js';
import { topologicalOrder } from '../graph/visit.js';
import { full, noGradient } from '../op.js';
import { add } from '../ops/add.js';
import { formatShape, sameShape } from '../shape.js';
import type { GraphNode, Tensor } from '../tensor.js';

/**
 * Vector-Jacobian product of a graph.
 *
 * @param cotangents one per output, of its shape.
 * @returns one tensor per input, of its shape; zeros for an input that the outputs do not depend on.
 * @throws GradientError when an op on the way has no gradient.
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
    accumulated.set(tensor, before ? add(before, cotangent) : cotangent);
  };
  outputs.forEach((output, i) => {
    if (needed.has(output)) accumulate(output, cotangents[i]!);
  });
  for (const node of order.reverse()) {
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
  return inputs.map((input) => accumulated.get(input) ?? full(input.shape, 0));
}

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
  const results = op.decompose(inputs, attributes);
  const live = results.flatMap((result, i) => (cotangents[i] ? [{ result, cotangent: cotangents[i] }] : []));
  const floats = inputs.filter((input) => isFloat(input.dtype));
  const gradients = vectorJacobianProduct(
    live.map(({ result }) => result),
    floats,
    live.map(({ cotangent }) => cotangent),
  );
  return inputs.map((input) => gradients[floats.indexOf(input)]);
}
