/**
 * The op of a fused expression (`expression.ts` has its form): any number of operands, all results of one pass.
 *
 * Outputs: the results of the map, of the iteration space; then those of the reduction, of the reduced space. Without a
 * reduction an output may lie on an operand of the same shape and element size: a kernel reads all operands at a place
 * before it writes there. Fusion happens after gradients are taken; a gradient all the same is that of the decomposition.
 */
import { byteSizeOf } from '../dtype.js';
import { type Op, applyOne, full } from '../op.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import { checkExpression } from './check.js';
import { type ExpressionSection, type FusedExpression, sectionsOf } from './expression.js';
import { expressionAttributesKey } from './key.js';
import { evaluateExpression } from './reference.js';
import { reductionOp, scalarOps } from './scalar-ops.js';

export const fusedExpressionOp: Op<FusedExpression> = {
  name: 'fusedExpression',
  infer(operands, expression) {
    checkExpression(expression, operands);
    return outputSpecs(expression);
  },
  reference: evaluateExpression,
  decompose(operands, expression) {
    const { shape, reduction } = expression;
    let reduced: Tensor | undefined;
    return sectionsOf(expression).flatMap((section) => {
      const values = sectionValues(section, operands, expression.constants, reduced);
      if (reduction && section.name === 'map') {
        const { kind, axes, keepDimensions, of } = reduction;
        reduced = applyOne(reductionOp(kind), [broadcastTo(values[of]!, shape)], { axes, keepDimensions });
      }
      return section.results.map((node) => broadcastTo(values[node]!, section.shape));
    });
  },
  overwrites(operands, { shape, map, results, reduction }) {
    if (reduction) return [];
    return results.flatMap((node, output) =>
      operands.flatMap((operand, input) =>
        sameShape(operand.shape, shape) && byteSizeOf(operand.dtype) === byteSizeOf(map[node]!.dtype)
          ? [{ output, input }]
          : [],
      ),
    );
  },
  flops(_operands, _outputs, expression) {
    const counts = sectionsOf(expression).map(
      ({ nodes, shape }) => nodes.filter(({ kind }) => kind === 'apply').length * sizeOf(shape),
    );
    return counts.reduce((sum, count) => sum + count, expression.reduction ? sizeOf(expression.shape) : 0);
  },
  attributesKey: expressionAttributesKey,
};

/** Specs of the outputs of a well-formed expression. */
export const outputSpecs = (expression: FusedExpression): TensorSpec[] =>
  sectionsOf(expression).flatMap(({ shape, nodes, results }) =>
    results.map((node) => ({ shape, dtype: nodes[node]!.dtype })),
  );

/** The nodes of a section as graph, each of the shape that its operands have together. */
function sectionValues(
  { nodes }: ExpressionSection,
  operands: readonly Tensor[],
  constants: readonly number[],
  reduced: Tensor | undefined,
): Tensor[] {
  const values: Tensor[] = [];
  for (const node of nodes) {
    if (node.kind === 'operand') values.push(operands[node.operand]!);
    else if (node.kind === 'constant') values.push(full([], constants[node.constant]!, node.dtype));
    else if (node.kind === 'reduced') values.push(reduced!);
    else {
      const inputs = node.inputs.map((input) => values[input]!);
      values.push(applyOne(scalarOps().get(node.op)!, inputs, node.attributes));
    }
  }
  return values;
}
