/** Nested arrays and plain objects of tensors, as function arguments and results ("pytrees"). */
import { Tensor } from './tensor.js';

/** Anything that holds tensors in arrays and plain objects; other leaves are static. */
export type Tree =
  | Tensor
  | number
  | string
  | boolean
  | null
  | undefined
  | readonly Tree[]
  | { readonly [key: string]: Tree };

/** All tensors of a tree, in order. */
export function flatten(tree: unknown): Tensor[] {
  const leaves: Tensor[] = [];
  visitLeaves(tree, '', (leaf) => leaves.push(leaf));
  return leaves;
}

/**
 * All tensors of a tree with the names they have in a file, in the order of `flatten`: keys and array places joined by dots
 * (`layers.0.weight`), the empty text for a tree that is one tensor.
 *
 * @throws TypeError when two leaves would share a name, as with the keys `{ 'a.b': x, a: { b: y } }`.
 */
export function flattenWithPaths(tree: unknown): [path: string, leaf: Tensor][] {
  const leaves = new Map<string, Tensor>();
  visitLeaves(tree, '', (leaf, path) => {
    if (leaves.has(path)) throw new TypeError(`two tensors of the tree have the path "${path}": rename a key`);
    leaves.set(path, leaf);
  });
  return [...leaves];
}

/** Calls `visit` for every tensor in order. Builds nothing: calls of compiled functions flatten their arguments. */
function visitLeaves(value: unknown, path: string, visit: (leaf: Tensor, path: string) => void): void {
  if (value instanceof Tensor) visit(value, path);
  else if (Array.isArray(value)) value.forEach((entry, i) => visitLeaves(entry, below(path, i), visit));
  else if (isPlainObject(value)) for (const key in value) visitLeaves(value[key], below(path, key), visit);
}

const below = (path: string, key: string | number): string => (path === '' ? `${key}` : `${path}.${key}`);

/**
 * The same tree with every tensor replaced; everything else is kept as it is.
 *
 * @param replace gets each tensor and its path as in `flattenWithPaths`; a null takes the leaf out of the tree.
 */
export function mapTree<T>(tree: T, replace: (leaf: Tensor, path: string) => Tensor | null): T {
  const walk = (value: unknown, path: string): unknown => {
    if (value instanceof Tensor) return replace(value, path);
    if (Array.isArray(value)) return value.map((entry, i) => walk(entry, below(path, i)));
    if (isPlainObject(value))
      return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, walk(entry, below(path, key))]));
    return value;
  };
  return walk(tree, '') as T;
}

/** The same tree with its tensors replaced by `leaves`, in order. */
export function unflatten<T>(tree: T, leaves: readonly Tensor[]): T {
  let next = 0;
  return mapTree(tree, () => leaves[next++]!);
}

/**
 * A text that two trees share when they differ at most in the values of their tensors.
 *
 * @throws TypeError for a leaf that is no tensor and no plain value: what it holds could change unseen.
 */
export function treeSignature(tree: unknown): string {
  const walk = (value: unknown, path: string): string => {
    if (value instanceof Tensor) return `${value.dtype}(${value.shape.join()})`;
    if (Array.isArray(value)) return `[${value.map((entry, i) => walk(entry, `${path}[${i}]`)).join()}]`;
    if (isPlainObject(value)) {
      const entries = Object.entries(value).map(
        ([key, entry]) => `${JSON.stringify(key)}:${walk(entry, `${path}.${key}`)}`,
      );
      return `{${entries.join()}}`;
    }
    if (typeof value === 'string') return JSON.stringify(value);
    if (Object.is(value, -0)) return '-0';
    if (value === null || ['number', 'boolean', 'undefined'].includes(typeof value)) return String(value);
    const kind = typeof value === 'object' ? value.constructor?.name : typeof value;
    throw new TypeError(
      `argument${path} is a ${kind}: pass tensors, numbers, strings, booleans, or arrays and plain objects of them, and close over the rest`,
    );
  };
  return walk(tree, '');
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
