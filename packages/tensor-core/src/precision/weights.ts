/**
 * A policy applied to a tree of weights, as graph.
 *
 *   storeWeights   what a loader does once: every leaf in the storage the policy names, quantised ones included
 *   masterWeights  the f32 copies that an optimiser updates
 *   shadow         what a training step does each time: f32 masters → the copy that the forward pass reads; gradients go
 *                  back to the masters through the casts
 *
 * The path of a leaf is its keys and places joined by dots. Leaves that are no floats are left as they are.
 */
import { isFloat } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { type QuantizedTensor, isQuantized } from '../quantize/quantized-tensor.js';
import { quantize } from '../quantize/quantize.js';
import { Tensor } from '../tensor.js';
import type { PrecisionPolicy, WeightPrecision } from './policy.js';

/** A tree whose tensors may have become quantised. */
export type StoredTree<T> = T extends Tensor
  ? Tensor | QuantizedTensor
  : T extends QuantizedTensor
    ? T
    : T extends object
      ? { readonly [Key in keyof T]: StoredTree<T[Key]> }
      : T;

type Leaf = Tensor | QuantizedTensor;

/** The same tree with every weight replaced; a quantised tensor is one leaf. */
function mapWeights(
  tree: unknown,
  replace: (leaf: Leaf, path: string) => unknown,
  path: readonly string[] = [],
): unknown {
  if (tree instanceof Tensor || isQuantized(tree)) return replace(tree, path.join('.'));
  if (Array.isArray(tree)) return tree.map((entry, i) => mapWeights(entry, replace, [...path, String(i)]));
  if (typeof tree !== 'object' || tree === null || Object.getPrototypeOf(tree) !== Object.prototype) return tree;
  return Object.fromEntries(
    Object.entries(tree).map(([key, entry]) => [key, mapWeights(entry, replace, [...path, key])]),
  );
}

const inPrecision = (weight: Tensor, precision: WeightPrecision): Leaf =>
  typeof precision === 'object' ? quantize(weight, precision) : cast(weight, precision);

/**
 * Every weight in the storage that the policy gives it. Weights that are quantised already stay as they are.
 *
 * Memory: lazy; evaluate a large tree leaf by leaf, or the sources of all leaves are alive at once.
 */
export function storeWeights<T>(tree: T, policy: PrecisionPolicy): StoredTree<T> {
  return mapWeights(tree, (leaf, path) =>
    isQuantized(leaf) || !isFloat(leaf.dtype) ? leaf : inPrecision(leaf, policy.precisionOf(path, leaf)),
  ) as StoredTree<T>;
}

/**
 * Every float weight in the policy's master dtype.
 *
 * @throws ShapeError for a quantised weight: rounding is not undone by giving it more bits.
 */
export function masterWeights<T>(tree: T, policy: PrecisionPolicy): T {
  return mapWeights(tree, (leaf, path) => {
    if (isQuantized(leaf))
      throw new ShapeError(
        `masterWeights: ${path} is quantised and has no master; train an adapter beside it, or dequantize it first`,
      );
    return isFloat(leaf.dtype) ? cast(leaf, policy.master) : leaf;
  }) as T;
}

/**
 * The copy of f32 masters that a forward pass reads, made anew in each step.
 *
 * @throws ShapeError where the policy quantises a weight: codes have no gradient, so such a weight has no master.
 */
export function shadow<T>(master: T, policy: PrecisionPolicy): T {
  return mapWeights(master, (leaf, path) => {
    if (isQuantized(leaf) || !isFloat(leaf.dtype)) return leaf;
    const precision = policy.precisionOf(path, leaf);
    if (typeof precision === 'object')
      throw new ShapeError(
        `shadow: the policy quantises ${path}, and quantised weights are frozen: keep() it, or train an adapter beside it`,
      );
    return cast(leaf, precision);
  }) as T;
}
