/**
 * A piece of graph as a value: traced once, replayed with other inputs.
 *
 * `trace` runs a function on placeholders and closes over everything else it touched: a tensor that does not depend on
 * the placeholders but is used by the body (a weight in scope, say) becomes an extra parameter, so that gradients reach it.
 * Constants (nodes without inputs) stay in the body.
 */
import { type Op, apply } from '../op.js';
import { type GraphNode, type Tensor, placeholder } from '../tensor.js';
import { graphKey } from './key.js';
import { asRecomputation } from './region.js';
import { topologicalOrder } from './visit.js';

export interface GraphBody {
  readonly parameters: readonly Tensor[];
  readonly results: readonly Tensor[];
}

export interface ClosedBody extends GraphBody {
  /** The tensors that the trailing parameters stand for. */
  readonly captured: readonly Tensor[];
}

/** The graph of `build` over fresh placeholders shaped like `inputs`. */
export function trace(build: (inputs: readonly Tensor[]) => readonly Tensor[], inputs: readonly Tensor[]): ClosedBody {
  const parameters = inputs.map(placeholder);
  const results = build(parameters);
  const inside = new Set<Tensor>(parameters);
  const nodes = topologicalOrder(results);
  for (const node of nodes) {
    if (node.inputs.some((input) => inside.has(input))) for (const output of node.outputs) inside.add(output);
  }
  const captured = new Set<Tensor>();
  const capture = (tensor: Tensor): void => {
    if (!inside.has(tensor) && tensor.producer?.inputs.length !== 0) captured.add(tensor);
  };
  for (const node of nodes) {
    if (node.outputs.some((output) => inside.has(output))) node.inputs.forEach(capture);
  }
  results.forEach(capture);
  const extra = [...captured].map(placeholder);
  const renamed = new Map<Tensor, Tensor>([...captured].map((tensor, i) => [tensor, extra[i]!]));
  return { parameters: [...parameters, ...extra], results: substitute(results, renamed), captured: [...captured] };
}

/** The results of a body with its parameters replaced by `inputs`. */
export function inline({ parameters, results }: GraphBody, inputs: readonly Tensor[]): readonly Tensor[] {
  return substitute(results, new Map(parameters.map((parameter, i) => [parameter, inputs[i]!])));
}

/** `roots` rebuilt with some tensors replaced; the parts that do not depend on them are shared, not copied. */
function substitute(roots: readonly Tensor[], replacements: Map<Tensor, Tensor>): readonly Tensor[] {
  const now = (tensor: Tensor): Tensor => replacements.get(tensor) ?? tensor;
  for (const node of topologicalOrder(roots)) {
    if (
      node.outputs.every((output) => replacements.has(output)) ||
      !node.inputs.some((input) => replacements.has(input))
    )
      continue;
    const again = (): readonly Tensor[] => apply(node.op, node.inputs.map(now), node.attributes);
    const outputs = node.recomputed ? asRecomputation(again) : again();
    node.outputs.forEach((output, i) => {
      if (!replacements.has(output)) replacements.set(output, outputs[i]!);
    });
  }
  return roots.map(now);
}

export interface CallAttributes {
  readonly body: GraphBody;
  /** Cotangents of the inputs, at least of those that are needed, written by the maker of the call. */
  readonly backward: (
    node: GraphNode,
    cotangents: readonly (Tensor | undefined)[],
    needed: readonly boolean[],
  ) => readonly (Tensor | undefined)[];
}

/** A body as one node, whose gradient its maker decides; planning replaces it by the body. */
export const callOp: Op<CallAttributes> = {
  name: 'call',
  infer: (_inputs, { body }) => body.results,
  decompose: (inputs, { body }) => inline(body, inputs),
  attributesKey: ({ body }) => graphKey(body.results, body.parameters),
  vjp: ({ outputs, cotangents, attributes, needed }) => attributes.backward(outputs[0]!.producer!, cotangents, needed),
};
