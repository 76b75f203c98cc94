/**
 * The parameters of an expression's function, in order: where outputs and operands lie, then what the code does not know:
 * constants, the sizes of loops, and by how many bytes each pointer moves along them.
 *
 * Their number and names follow from the structure alone (`expressionKey`), their values from one application. The loop that
 * moves fastest has no strides: elements there are neighbours, or one for all.
 */
import {
  type DType,
  type ExpressionNode,
  type FusedExpression,
  type Loop,
  type LoopNest,
  type TensorSpec,
  byteSizeOf,
  loopNest,
} from '@mindseye/tensor-core';
import { constantArgument, constantType } from './element.js';

/** The part of an expression that reads an operand. */
export type SectionName = 'map' | 'epilogue';
/** The list that a loop is in. */
export type LoopList = 'kept' | 'reduced';

export interface Parameter {
  readonly name: string;
  readonly type: 'i32' | 'f32';
  /** Value for the application at hand; pointers are known when it runs. */
  readonly value: number;
}

export interface Signature {
  readonly nest: LoopNest;
  readonly outputCount: number;
  /** Outputs, operands, then all that is fixed before a run. */
  readonly parameters: readonly Parameter[];
}

export const outputName = (output: number): string => `out${output}`;
export const operandName = (operand: number): string => `in${operand}`;
export const constantName = (section: SectionName, node: number): string => `${section}Constant${node}`;
export const sizeName = (list: LoopList, loop: number): string => `${list}Size${loop}`;
export const strideName = (list: LoopList, loop: number, section: SectionName, operand: number): string =>
  `${list}${loop}_${section}${operand}`;
export const resultStrideName = (list: LoopList, loop: number, result: number): string =>
  `${list}${loop}_result${result}`;

/** The dtypes of all outputs: results of the map, then of the epilogue. */
export const outputTypes = ({ map, results, reduction }: FusedExpression): DType[] => [
  ...results.map((node) => map[node]!.dtype),
  ...(reduction ? reduction.results.map((node) => reduction.epilogue[node]!.dtype) : []),
];

export function signatureOf(expression: FusedExpression, operands: readonly TensorSpec[]): Signature {
  const nest = loopNest(expression, operands);
  const outputs = outputTypes(expression);
  const parameters: Parameter[] = [
    ...outputs.map((_, i) => pointer(outputName(i))),
    ...operands.map((_, i) => pointer(operandName(i))),
    ...constants('map', expression.map, expression),
    ...constants('epilogue', expression.reduction?.epilogue ?? [], expression),
  ];
  for (const list of ['kept', 'reduced'] as const) {
    nest[list].forEach((loop, i) => {
      parameters.push({ name: sizeName(list, i), type: 'i32', value: loop.size });
      const isInnermost = list === nest.innermost && i === nest[list].length - 1;
      if (!isInnermost) parameters.push(...strides(list, i, loop, expression, operands));
    });
  }
  return { nest, outputCount: outputs.length, parameters };
}

const pointer = (name: string): Parameter => ({ name, type: 'i32', value: 0 });

const constants = (
  section: SectionName,
  nodes: readonly ExpressionNode[],
  { constants: values }: FusedExpression,
): Parameter[] =>
  nodes.flatMap((node, i) =>
    node.kind === 'constant'
      ? [
          {
            name: constantName(section, i),
            type: constantType(node.dtype),
            value: constantArgument(node.dtype, values[node.constant]!),
          },
        ]
      : [],
  );

function strides(
  list: LoopList,
  i: number,
  loop: Loop,
  { map, results, reduction }: FusedExpression,
  operands: readonly TensorSpec[],
): Parameter[] {
  const ofOperands = (section: SectionName): Parameter[] =>
    operands.flatMap(({ dtype }, operand) => {
      const stride = loop[section][operand]!;
      const name = strideName(list, i, section, operand);
      return stride === 0 ? [] : [{ name, type: 'i32' as const, value: stride * byteSizeOf(dtype) }];
    });
  // Without a reduction outputs are written from front to back.
  const ofResults = reduction ? results : [];
  return [
    ...ofOperands('map'),
    ...ofOperands('epilogue'),
    ...ofResults.map((node, result) => ({
      name: resultStrideName(list, i, result),
      type: 'i32' as const,
      value: loop.result * byteSizeOf(map[node]!.dtype),
    })),
  ];
}
