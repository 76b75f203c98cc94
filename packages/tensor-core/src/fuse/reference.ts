/**
 * The interpreter of fused expressions: what every kernel that is generated from one is tested against.
 *
 * Works on blocks of consecutive elements, one node after the other, each node in a typed array of its dtype. So every
 * intermediate is rounded as if it had been stored, and the outputs are bit for bit those of the steps run one by one.
 * f32 is carried in 64 bits when an operand or an output is. A block is read completely before its results are written:
 * an output may lie on an operand (see `overwrites`).
 */
import { type DType, type HostArray, allocateHost, encoderOf } from '../dtype.js';
import type { HostTensor, ReferenceCall } from '../op.js';
import { type Shape, broadcastStrides, reducedShape, sameShape, sizeOf } from '../shape.js';
import {
  type ApplyNode,
  type ExpressionNode,
  type ExpressionReduction,
  type FusedExpression,
  reducedSpace,
} from './expression.js';
import { scalarOps } from './scalar-ops.js';

const blockLength = 4096;

type Allocate = (dtype: DType, length: number) => HostArray;
/** `length` elements of a node from `start` on; blocks are asked for in order. */
type BlockSource = (start: number, length: number) => HostArray;

interface SectionCall {
  readonly nodes: readonly ExpressionNode[];
  readonly shape: Shape;
  readonly constants: readonly number[];
  readonly inputs: readonly HostTensor[];
  readonly allocate: Allocate;
  /** What the reduction gave; for epilogues. */
  readonly reduced?: HostArray;
}

/** Computes all outputs of the expression. */
export function evaluateExpression({ inputs, outputs, attributes }: ReferenceCall<FusedExpression>): void {
  const { shape, constants, map, results, reduction } = attributes;
  const isWide = [...inputs, ...outputs].some(({ data }) => data instanceof Float64Array);
  const allocate: Allocate = (dtype, length) =>
    dtype === 'f32' && isWide ? new Float64Array(length) : allocateHost(dtype, length);
  const call = { constants, inputs, allocate };
  const written = outputs.slice(0, results.length);
  if (!reduction) {
    runSection({ ...call, nodes: map, shape }, results, written);
    return;
  }
  const fold = startFold(reduction, shape, map[reduction.of]!.dtype, allocate);
  runSection({ ...call, nodes: map, shape }, results, written, (blocks, length) =>
    fold.add(blocks[reduction.of]!, length),
  );
  const epilogue = { nodes: reduction.epilogue, shape: reducedSpace(shape, reduction), reduced: fold.finish() };
  runSection({ ...call, ...epilogue }, reduction.results, outputs.slice(results.length));
}

/** Computes a section block by block, shows each to `visit`, and then writes its results. */
function runSection(
  call: SectionCall,
  results: readonly number[],
  outputs: readonly HostTensor[],
  visit?: (blocks: readonly HostArray[], length: number) => void,
): void {
  const size = sizeOf(call.shape);
  const blocks: HostArray[] = [];
  const sources = call.nodes.map((node) => sourceOf(node, call, blocks));
  for (let start = 0; start < size; start += blockLength) {
    const length = Math.min(blockLength, size - start);
    sources.forEach((source, i) => (blocks[i] = source(start, length)));
    visit?.(blocks, length);
    results.forEach((node, i) => outputs[i]!.data.set(blocks[node]!.subarray(0, length), start));
  }
}

/** @param blocks the current block of every node of the section, filled in order. */
function sourceOf(node: ExpressionNode, call: SectionCall, blocks: readonly HostArray[]): BlockSource {
  const { shape, constants, inputs, allocate, reduced } = call;
  if (node.kind === 'reduced') return (start, length) => reduced!.subarray(start, start + length);
  const operand = node.kind === 'operand' ? inputs[node.operand]! : undefined;
  if (operand && sameShape(operand.shape, shape))
    return (start, length) => operand.data.subarray(start, start + length);
  const block = allocate(node.dtype, Math.min(blockLength, sizeOf(shape)));
  if (operand) {
    const nextOffset = offsetWalk(shape, broadcastStrides(operand.shape, shape));
    return (_start, length) => {
      for (let i = 0; i < length; i++) block[i] = operand.data[nextOffset()]!;
      return block;
    };
  }
  if (node.kind === 'constant') {
    block.fill(encoderOf(node.dtype)(constants[node.constant]!));
    return () => block;
  }
  return applySource(node as ApplyNode, call, blocks, block);
}

function applySource(
  { op, attributes, inputs }: ApplyNode,
  { nodes }: SectionCall,
  blocks: readonly HostArray[],
  block: HostArray,
): BlockSource {
  const dtypes = inputs.map((input) => nodes[input]!.dtype);
  const compute = scalarOps().get(op)!.scalar!(dtypes, attributes);
  // One loop per count of operands: some functions (Math.max) would also take an undefined that is passed along.
  const loops: readonly ((length: number, a: HostArray, b: HostArray, c: HostArray) => void)[] = [
    (length, a) => {
      for (let i = 0; i < length; i++) block[i] = compute(a[i]!);
    },
    (length, a, b) => {
      for (let i = 0; i < length; i++) block[i] = compute(a[i]!, b[i]!);
    },
    (length, a, b, c) => {
      for (let i = 0; i < length; i++) block[i] = compute(a[i]!, b[i]!, c[i]!);
    },
  ];
  const loop = loops[inputs.length - 1]!;
  const [a, b = 0, c = 0] = inputs as readonly [number, number?, number?];
  return (_start, length) => {
    loop(length, blocks[a]!, blocks[b]!, blocks[c]!);
    return block;
  };
}

/** A function that gives, call by call, the offset of each element of a strided view of `shape` in row-major order. */
function offsetWalk(shape: Shape, strides: readonly number[]): () => number {
  const position = shape.map(() => 0);
  let next = 0;
  return () => {
    const offset = next;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      next += strides[axis]!;
      if (++position[axis]! < shape[axis]!) break;
      next -= strides[axis]! * shape[axis]!;
      position[axis] = 0;
    }
    return offset;
  };
}

interface Fold {
  /** Takes the next `length` elements of the iteration space. */
  add(values: HostArray, length: number): void;
  finish(): HostArray;
}

/** Folds elements in row-major order, `sum` in 64 bits: exactly as the loops of `sum` and `max` do. */
function startFold({ kind, axes }: ExpressionReduction, shape: Shape, dtype: DType, allocate: Allocate): Fold {
  const kept = reducedShape(shape, axes, true);
  const nextTarget = offsetWalk(shape, broadcastStrides(kept, shape));
  const result = allocate(dtype, sizeOf(kept));
  if (kind === 'max') {
    result.fill(dtype === 'i32' ? -0x80000000 : -Infinity);
    return {
      add(values, length) {
        for (let i = 0; i < length; i++) {
          const target = nextTarget();
          result[target] = Math.max(result[target]!, values[i]!);
        }
      },
      finish: () => result,
    };
  }
  const totals = new Float64Array(result.length);
  return {
    add(values, length) {
      for (let i = 0; i < length; i++) totals[nextTarget()]! += values[i]!;
    },
    finish() {
      result.set(totals);
      return result;
    },
  };
}
