/**
 * How the work of an expression is divided over threads: a part is the same function with a smaller outermost kept loop and
 * pointers that have moved along it. Elements are computed as they are without parts; a reduction over everything is one part.
 */
import {
  type DType,
  type FusedExpression,
  type Loop,
  type TensorSpec,
  byteSizeOf,
  sizeOf,
} from '@mindseye/tensor-core';
import type { Division } from '../kernels/host.js';
import { isLong } from './node-code.js';
import { type Signature, outputTypes, sizeName } from './signature.js';

export interface ExpressionDivision extends Division {
  /** Which parameter is the size of the loop. */
  readonly sizeParameter: number;
  /** Bytes that the pointers of the outputs and then of the operands move by per turn. */
  readonly moves: readonly number[];
}

/** Elements of the map that are worth a part of their own, and as many when each takes long. */
const ELEMENT_GRAIN = { short: 32_768, long: 8192 } as const;
/** Parts of a loop of neighbours begin at whole cache lines of all outputs. */
const NEIGHBOURS = 64;

/** Undefined where nothing can be divided: no kept loop, or an operand that the two sections walk in different steps. */
export function divisionOf(
  expression: FusedExpression,
  operands: readonly TensorSpec[],
  { nest, parameters }: Signature,
): ExpressionDivision | undefined {
  const [outermost, ...inner] = nest.kept;
  if (!outermost) return undefined;
  const ofOperands = operands.map(({ dtype }, operand) => operandMove(expression, outermost, operand, dtype));
  if (ofOperands.includes(undefined)) return undefined;
  const types = outputTypes(expression);
  const keptInside = inner.reduce((size, loop) => size * loop.size, 1);
  const ofOutputs = types.map((dtype, output) => {
    const isOfMap = expression.reduction && output < expression.results.length;
    return byteSizeOf(dtype) * (isOfMap ? outermost.result : keptInside);
  });
  const turns = sizeOf(expression.shape) / Math.max(outermost.size, 1);
  const isNeighbours = inner.length === 0 && nest.innermost === 'kept';
  return {
    count: outermost.size,
    grain: Math.ceil(ELEMENT_GRAIN[hasLong(expression) ? 'long' : 'short'] / Math.max(turns, 1)),
    multiple: isNeighbours ? NEIGHBOURS : 1,
    sizeParameter: parameters.findIndex(({ name }) => name === sizeName('kept', 0)),
    moves: [...ofOutputs, ...(ofOperands as number[])],
  };
}

/** Bytes per turn of the pointer that both sections start from; undefined where they disagree. */
function operandMove(
  { map, reduction }: FusedExpression,
  loop: Loop,
  operand: number,
  dtype: DType,
): number | undefined {
  const reads = (nodes: FusedExpression['map']): boolean =>
    nodes.some((node) => node.kind === 'operand' && node.operand === operand);
  const strides = new Set<number>();
  if (reads(map)) strides.add(loop.map[operand]!);
  if (reduction && reads(reduction.epilogue)) strides.add(loop.epilogue[operand]!);
  if (strides.size > 1) return undefined;
  const [stride = 0] = strides;
  return stride * byteSizeOf(dtype);
}

const hasLong = ({ map, reduction }: FusedExpression): boolean =>
  [...map, ...(reduction?.epilogue ?? [])].some((node) => node.kind === 'apply' && isLong(node.op));
