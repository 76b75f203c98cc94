/**
 * Texts that are equal exactly when two graphs, or two applications of an op, compute the same from the same operands.
 *
 * They are the keys under which plans are cached and common subexpressions are found. Ids of operands come from the
 * caller: a key says nothing about the contents of tensors.
 */
import type { Op } from '../op.js';
import type { GraphNode, Tensor, TensorSpec } from '../tensor.js';
import { topologicalOrder } from './visit.js';

const known = new WeakMap<object, string>();

/** A text that is equal for equal attributes of one op. */
export function attributesKey(op: Op, attributes: object): string {
  let key = known.get(attributes);
  if (key === undefined) {
    key = op.attributesKey ? op.attributesKey(attributes) : JSON.stringify(attributes, exactly);
    known.set(attributes, key);
  }
  return key;
}

/** JSON has no word for some numbers, and none for typed arrays that tells their class. */
function exactly(_field: string, value: unknown): unknown {
  if (typeof value === 'number') {
    if (Object.is(value, -0)) return { number: '-0' };
    return Number.isFinite(value) ? value : { number: String(value) };
  }
  if (typeof value === 'function') throw new TypeError('attributes with functions need an attributesKey of their op');
  if (ArrayBuffer.isView(value)) return { array: value.constructor.name, words: [...(value as Uint8Array)] };
  return value;
}

export const specKey = ({ dtype, shape }: TensorSpec): string => `${dtype}[${shape.join()}]`;

/** The key of a graph from `inputs` (in that order) to `roots`. */
export function graphKey(roots: readonly Tensor[], inputs: readonly Tensor[]): string {
  const ids = new Map<Tensor, number>();
  const parts: string[] = [];
  for (const input of inputs) {
    if (!ids.has(input)) ids.set(input, ids.size);
    parts.push(specKey(input), '@', String(ids.get(input)), ';');
  }
  for (const node of topologicalOrder(roots, (tensor) => ids.has(tensor))) appendNode(node, ids, parts);
  parts.push('=>', roots.map((root) => ids.get(root)).join());
  return parts.join('');
}

function appendNode(
  { op, inputs, attributes, outputs, recomputed }: GraphNode,
  ids: Map<Tensor, number>,
  parts: string[],
): void {
  parts.push(op.name, recomputed ? '~' : '(');
  for (const input of inputs) parts.push(String(ids.get(input)), ',');
  parts.push(attributesKey(op, attributes), ';');
  for (const output of outputs) if (!ids.has(output)) ids.set(output, ids.size);
}
