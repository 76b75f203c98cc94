/** Texts that say when two fused expressions are the same code, and when they are the same application. */
import type { TensorSpec } from '../tensor.js';
import type { ExpressionNode, FusedExpression, NodeOf } from './expression.js';
import { loopNest, loopPattern } from './loop-nest.js';

const nodeKeys: { readonly [Kind in ExpressionNode['kind']]: (node: NodeOf<Kind>) => string } = {
  operand: ({ operand }) => `%${operand}`,
  constant: ({ constant }) => `$${constant}`,
  reduced: () => 'reduced',
  apply: ({ op, attributes, inputs }) => `${op}${attributesText(attributes)}(${inputs.join()})`,
};

const nodeKey = (node: ExpressionNode): string => `${nodeKeys[node.kind](node as never)}:${node.dtype}`;

function attributesText(attributes: object): string {
  const text = JSON.stringify(attributes);
  return text === '{}' ? '' : text;
}

const nodesKey = (nodes: readonly ExpressionNode[], results: readonly number[]): string =>
  `${nodes.map(nodeKey).join(';')}->${results.join()}`;

/** Everything but the spaces and the values of constants. */
function structureKey({ map, results, reduction }: FusedExpression): string {
  const tail = reduction && ` ${reduction.kind} ${reduction.of} ${nodesKey(reduction.epilogue, reduction.results)}`;
  return nodesKey(map, results) + (tail ?? '');
}

/**
 * A text that is equal when generated code can be shared: the nodes with their dtypes, and who moves along which loop
 * (`loopPattern`). Sizes, strides and the values of constants are not in it.
 */
export const expressionKey = (expression: FusedExpression, operands: readonly TensorSpec[]): string =>
  `${structureKey(expression)} ${loopPattern(loopNest(expression, operands))}`;

/** A text that is equal for equal expressions, sizes and constants included. */
export function expressionAttributesKey(expression: FusedExpression): string {
  const { shape, constants, reduction } = expression;
  const numbers = constants.map((value) => (Object.is(value, -0) ? '-0' : String(value)));
  const axes = reduction && ` over ${reduction.axes.join()}${reduction.keepDimensions ? ' kept' : ''}`;
  return `[${shape.join()}] {${numbers.join()}} ${structureKey(expression)}${axes ?? ''}`;
}
