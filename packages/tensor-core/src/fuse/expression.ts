/**
 * Fused expressions: many elementwise steps, and at most one reduction, as one op that is nothing but data.
 *
 *   without a reduction     y_k[i] = map_k(a[i], b[i], …)                      for every i of the space `shape`
 *   with a reduction        r[j] = Σ or max over the reduced axes of map_of[i],  z_k[j] = epilogue_k(r[j], c[j], …)
 *
 * Two spaces: the iteration space is `shape`; the reduced space is `shape` without the reduced axes (or with size 1 there).
 * Every operand is broadcast by NumPy's rules, at no cost, to the space of the section that reads it; it is never larger
 * than that space. Outputs are dense: first the `results` of the map, each of shape `shape`, then the `results` of the
 * reduction, each of the reduced shape. One pass over the iteration space computes all of them.
 *
 * A section is a list of nodes in an order that can be computed: the inputs of a node are places of earlier nodes of the
 * same section. Each node is a number of its dtype, rounded to that dtype as if it were stored (i32 and u32 wrap around,
 * bool is 0 or 1). f16 and bf16 only appear as operands and results of `cast`. `sum` may accumulate wider than its dtype,
 * and is rounded before the epilogue reads it. Of empty axes, `sum` is 0 and `max` the lowest number of the dtype.
 *
 * A backend needs code for three kinds of leaf and for each op of `scalarOps` (by name and operand dtypes), and the loops of
 * `loopNest`. Sizes and the values of constants are parameters of that code, not part of it: `expressionKey` is equal for
 * applications that can share it. Expressions hold no functions or tensors, so they can be sent to a worker.
 */
import type { DType } from '../dtype.js';
import { type Shape, reducedShape } from '../shape.js';

/** The element of operand `operand` of the op at this place. Each operand has at most one such node in a section. */
export interface OperandNode {
  readonly kind: 'operand';
  readonly operand: number;
  readonly dtype: DType;
}

/** `constants[constant]`: a number that may be infinite or NaN, still to be rounded to the dtype. */
export interface ConstantNode {
  readonly kind: 'constant';
  readonly constant: number;
  readonly dtype: DType;
}

/** The result of the reduction at this place. Only the epilogue has one. */
export interface ReducedNode {
  readonly kind: 'reduced';
  readonly dtype: DType;
}

/** An op of `scalarOps` on earlier nodes of the section. */
export interface ApplyNode {
  readonly kind: 'apply';
  readonly op: string;
  readonly attributes: object;
  readonly inputs: readonly number[];
  readonly dtype: DType;
}

export type ExpressionNode = OperandNode | ConstantNode | ReducedNode | ApplyNode;

export type NodeOf<Kind extends ExpressionNode['kind']> = Extract<ExpressionNode, { readonly kind: Kind }>;

export type ReductionKind = 'sum' | 'max';

export interface ExpressionReduction {
  readonly kind: ReductionKind;
  /** Distinct axes of the iteration space in rising order; any of them, not only trailing ones. */
  readonly axes: readonly number[];
  readonly keepDimensions: boolean;
  /** The node of the map that is reduced; the result has its dtype. */
  readonly of: number;
  /** Nodes over the reduced space. */
  readonly epilogue: readonly ExpressionNode[];
  /** Nodes of the epilogue that are written, of kind `apply` or `reduced`; at least one. */
  readonly results: readonly number[];
}

export interface FusedExpression {
  /** The iteration space. */
  readonly shape: Shape;
  readonly constants: readonly number[];
  /** Nodes over the iteration space. */
  readonly map: readonly ExpressionNode[];
  /** Nodes of the map that are written, of kind `apply`; at least one unless there is a reduction. */
  readonly results: readonly number[];
  readonly reduction?: ExpressionReduction;
}

/** The shape of the reduced space. */
export const reducedSpace = (shape: Shape, { axes, keepDimensions }: ExpressionReduction): number[] =>
  reducedShape(shape, axes, keepDimensions);

/** True when an operand of shape `from` is broadcast to `to`, and not `to` to it. */
export function stretches(from: Shape, to: Shape): boolean {
  const missing = to.length - from.length;
  return missing >= 0 && from.every((size, axis) => size === 1 || size === to[axis + missing]);
}

/** One section of an expression with its space. */
export interface ExpressionSection {
  readonly name: 'map' | 'epilogue';
  readonly shape: Shape;
  readonly nodes: readonly ExpressionNode[];
  readonly results: readonly number[];
}

/** The map, and the epilogue where there is a reduction. */
export function sectionsOf({ shape, map, results, reduction }: FusedExpression): readonly ExpressionSection[] {
  const sections: ExpressionSection[] = [{ name: 'map', shape, nodes: map, results }];
  if (reduction)
    sections.push({
      name: 'epilogue',
      shape: reducedSpace(shape, reduction),
      nodes: reduction.epilogue,
      results: reduction.results,
    });
  return sections;
}
