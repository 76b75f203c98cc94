/** Single ops as expressions of one node: elementwise ops with broadcast operands, sums and maxima over any axes, repeats. */
import type { ApplyNode, ExpressionNode, FusedExpression, Op, ReductionKind, TensorSpec } from '@mindseye/tensor-core';
import { copyName } from './node-code.js';

interface Application {
  readonly op: Op;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly attributes: object;
}

/** The op whose output repeats the elements of its operand, as broadcasting does. */
const repeating = 'broadcastTo';

const reductions: ReadonlySet<string> = new Set<ReductionKind>(['sum', 'max']);

/** The expression that is this application, or undefined where it is none. */
export function expressionOf({ op, inputs, outputs, attributes }: Application): FusedExpression | undefined {
  const output = outputs[0]!;
  const operands: ExpressionNode[] = inputs.map(({ dtype }, operand) => ({ kind: 'operand', operand, dtype }));
  const ofNode = (name: string, nodeAttributes: object): FusedExpression => {
    const node: ApplyNode = {
      kind: 'apply',
      op: name,
      attributes: nodeAttributes,
      inputs: inputs.map((_, i) => i),
      dtype: output.dtype,
    };
    return { shape: output.shape, constants: [], map: [...operands, node], results: [inputs.length] };
  };
  if (op.name === repeating) return ofNode(copyName, {});
  if (op.scalar && inputs.length > 0) return ofNode(op.name, attributes);
  if (!reductions.has(op.name)) return undefined;
  const { axes, keepDimensions } = attributes as { readonly axes: readonly number[]; readonly keepDimensions: boolean };
  return {
    shape: inputs[0]!.shape,
    constants: [],
    map: operands,
    results: [],
    reduction: {
      kind: op.name as ReductionKind,
      axes,
      keepDimensions,
      of: 0,
      epilogue: [{ kind: 'reduced', dtype: output.dtype }],
      results: [0],
    },
  };
}
