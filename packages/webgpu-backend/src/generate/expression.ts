/**
 * Shaders for fused expressions (tensor-core's `fuse/expression.ts`), and for single ops on elements, which are expressions
 * of one node.
 *
 * The source follows from the structure alone: sizes, strides and constants are uniforms. Applications with equal
 * `expressionKey` therefore share a pipeline, whatever their lengths. Without a reduction an output may lie on an operand: each
 * invocation reads all operands at its elements before it writes there.
 */
import {
  type ExpressionNode,
  type FusedExpression,
  type TensorSpec,
  loopNest,
  reducedSpace,
  sizeOf,
} from '@mindseye/tensor-core';
import { elementsPerWord } from '../element.js';
import { type Dispatch, output } from '../wgsl/dispatch.js';
import { walkLoops } from '../wgsl/loops.js';
import { loadElement, mapDispatch } from '../wgsl/map.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type ExpressionCall, castLoad, operandsOf } from './call.js';
import { hasCode, sectionCode } from './nodes.js';
import { hasReduction, reductionDispatch } from './reduction.js';

/** Fewer results of a reduction than this do not keep a GPU busy … */
const fewResults = 64;
/** … with so many elements, each of which something else is written for. */
const manyElements = 2 ** 16;

/**
 * False where an op or dtype has no code, where one shader cannot bind or write it all, and where a few workgroups would
 * write what thousands could.
 */
export function canGenerate(
  { shape, map, results, reduction }: FusedExpression,
  operands: readonly TensorSpec[],
  storageBuffers: number,
): boolean {
  const bound = operands.length + results.length + (reduction?.results.length ?? 0);
  if (bound > storageBuffers || !hasCode(map)) return false;
  if (!reduction) return true;
  // Invocations of a reduction do not own whole words of what its map writes.
  const writesWords = results.every((node) => elementsPerWord(map[node]!.dtype) === 1);
  const isSlow =
    results.length > 0 && sizeOf(shape) > manyElements && sizeOf(reducedSpace(shape, reduction)) < fewResults;
  return (
    writesWords && !isSlow && hasCode(reduction.epilogue) && hasReduction(reduction.kind, map[reduction.of]!.dtype)
  );
}

export function expressionDispatch(call: ExpressionCall): Dispatch {
  if (call.expression.reduction) return reductionDispatch(call);
  const { name, expression, inputs, outputs, overwritten = [] } = call;
  const uniforms = new Uniforms();
  const { kept } = loopNest(expression, inputs);
  const loops = kept.map(({ size, map }) => ({ size, strides: map }));
  const walk = walkLoops(uniforms, 'at', 'i', loops, inputs.length);
  /** Operands of the full shape lie as the results do. */
  const isDense = (operand: number): boolean => kept.every(({ map }) => map[operand]! > 0);
  const loads = inputs.map((spec, operand) => {
    const target = overwritten[operand];
    if (target !== undefined) return castLoad(`out${target}`, spec.dtype, outputs[target]!.dtype, 'i');
    return loadElement(`in${operand}`, spec.dtype, isDense(operand) ? 'i' : `offset${operand}`);
  });
  const offsets = inputs.flatMap((_, operand) =>
    isDense(operand) ? [] : [`  let offset${operand} = ${walk.offsets[operand]};`],
  );
  const { statements, functions } = sectionCode({
    nodes: expression.map,
    constants: expression.constants,
    uniforms,
    prefix: 'map',
    load: (operand) => loads[operand]!,
  });
  return mapDispatch({
    name,
    operands: operandsOf(inputs, overwritten),
    results: expression.results.map((node, i) => ({
      name: `out${i}`,
      dtype: outputs[i]!.dtype,
      from: output(i),
      value: `map${node}`,
    })),
    uniforms,
    declarations: functions,
    count: sizeOf(expression.shape),
    body: [...(offsets.length > 0 ? [walk.statements, ...offsets] : []), statements].join('\n'),
  });
}

/** The expression of one op on single elements. */
export function singleExpression(
  inputs: readonly TensorSpec[],
  output: TensorSpec,
  op: string,
  attributes: object,
): FusedExpression {
  const operands = inputs.map(({ dtype }, operand): ExpressionNode => ({ kind: 'operand', operand, dtype }));
  const places = inputs.map((_, i) => i);
  const node: ExpressionNode = { kind: 'apply', op, attributes, inputs: places, dtype: output.dtype };
  return { shape: output.shape, constants: [], map: [...operands, node], results: [operands.length] };
}
