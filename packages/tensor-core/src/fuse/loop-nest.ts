/**
 * The loops of a fused expression: its axes without those of size 1, neighbours merged where every access allows it.
 *
 *   for each j of the kept loops:   for each i of the reduced loops:   map;   epilogue
 *
 * The row-major place over the kept loops is the place in the outputs of the reduced space (or of the iteration space, when
 * there is no reduction). The element of an operand lies at Σ index·stride over the loops of both lists. A merged loop is
 * walked by one counter, so dense operands of any rank are a single loop. The strides along the loop that moves fastest
 * (`innermost`) are 0 or 1. Which loops exist and who moves along them (`loopPattern`) depends on sizes only through "is 1".
 */
import { type Shape, broadcastStrides, stridesOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';
import { type FusedExpression, type ExpressionNode, reducedSpace } from './expression.js';

export interface Loop {
  readonly size: number;
  /** Elements that each operand moves by per turn where the map reads it; 0 where it does not move or is not read. */
  readonly map: readonly number[];
  /** The same for the epilogue; 0 along reduced loops. */
  readonly epilogue: readonly number[];
  /** Elements that the results of the map move by. */
  readonly result: number;
}

export interface LoopNest {
  /** Outermost first. Empty for a single element. */
  readonly kept: readonly Loop[];
  readonly reduced: readonly Loop[];
  /** The list whose last loop moves fastest through dense operands. */
  readonly innermost: 'kept' | 'reduced';
}

/** The loops of `expression` on operands of these shapes. */
export function loopNest(expression: FusedExpression, operands: readonly TensorSpec[]): LoopNest {
  const { shape, map, reduction } = expression;
  const gone = new Set(reduction?.axes);
  const inMap = stridesIn(map, operands, shape);
  const inEpilogue = reduction ? epilogueStrides(expression, operands) : operands.map(() => shape.map(() => 0));
  const result = stridesOf(shape);
  const kept: Loop[] = [];
  const reduced: Loop[] = [];
  let innermost: LoopNest['innermost'] = 'kept';
  shape.forEach((size, axis) => {
    if (size === 1) return;
    innermost = gone.has(axis) ? 'reduced' : 'kept';
    push(gone.has(axis) ? reduced : kept, {
      size,
      map: inMap.map((strides) => strides[axis]!),
      epilogue: inEpilogue.map((strides) => strides[axis]!),
      result: result[axis]!,
    });
  });
  return { kept, reduced, innermost };
}

/** Appends a loop, or widens the last one when both are one walk for every access. */
function push(loops: Loop[], inner: Loop): void {
  const outer = loops.at(-1);
  const joins = (from: number, to: number): boolean => from === inner.size * to;
  if (
    outer &&
    outer.map.every((stride, i) => joins(stride, inner.map[i]!)) &&
    outer.epilogue.every((stride, i) => joins(stride, inner.epilogue[i]!)) &&
    joins(outer.result, inner.result)
  )
    loops[loops.length - 1] = { ...inner, size: outer.size * inner.size };
  else loops.push(inner);
}

/** For each operand its strides through `shape`, zeros where no node reads it. */
function stridesIn(nodes: readonly ExpressionNode[], operands: readonly TensorSpec[], shape: Shape): number[][] {
  const read = new Set(nodes.flatMap((node) => (node.kind === 'operand' ? [node.operand] : [])));
  return operands.map((operand, i) => (read.has(i) ? broadcastStrides(operand.shape, shape) : shape.map(() => 0)));
}

/** Strides of the epilogue's operands, spread over the axes of the iteration space. */
function epilogueStrides({ shape, reduction }: FusedExpression, operands: readonly TensorSpec[]): number[][] {
  const { axes, keepDimensions, epilogue } = reduction!;
  const gone = new Set(axes);
  return stridesIn(epilogue, operands, reducedSpace(shape, reduction!)).map((strides) => {
    let next = 0;
    return shape.map((_, axis) => (gone.has(axis) && !keepDimensions ? 0 : strides[next++]!));
  });
}

/** A text that is equal for nests of equal structure, whatever their sizes. */
export function loopPattern({ kept, reduced, innermost }: LoopNest): string {
  const moving = (strides: readonly number[]): string => strides.flatMap((stride, i) => (stride ? [i] : [])).join(' ');
  const text = (loops: readonly Loop[]): string =>
    loops.map(({ map, epilogue }) => `[${moving(map)}|${moving(epilogue)}]`).join('');
  return `${text(kept)} ${innermost === 'kept' ? '<' : '>'} ${text(reduced)}`;
}
