/**
 * The module of an expression: one function with nested loops, the innermost in vectors of four (`loopNest` of the core).
 *
 *   no reduction                  for kept…: for vectors of the last kept loop: map, store
 *   the last axis is reduced      for kept…: for reduced…: for vectors of the last reduced loop: map, fold;   epilogue of one
 *   the last axis is kept         for kept…: for groups of vectors of the last kept loop: (for reduced…: map, fold;  epilogue)
 *
 * Outputs may lie on operands of the same elements: all operands at a place are loaded before anything is stored there.
 */
import type { FusedExpression, TensorSpec } from '@mindseye/tensor-core';
import { ModuleBuilder } from '../emit/index.js';
import { ARITHMETIC, type Tier } from '../kernels/tier.js';
import { foldOf } from './fold.js';
import { nodeCode } from './node-code.js';
import type { Signature } from './signature.js';
import { writeMap } from './write-map.js';
import { writeColumnReduction, writeRowReduction } from './write-reduction.js';

/** Name of the exported function. */
export const functionName = 'expression';

/** False for expressions with a node or a reduction that there is no code for. */
export function canEmit({ map, reduction }: FusedExpression): boolean {
  const sections = [map, reduction?.epilogue ?? []];
  const hasCode = sections.every((nodes) =>
    nodes.every(
      (node) =>
        node.kind !== 'apply' ||
        nodeCode(
          node.op,
          node.inputs.map((input) => nodes[input]!.dtype),
          node.attributes,
        ) !== undefined,
    ),
  );
  return hasCode && (!reduction || foldOf(reduction.kind, map[reduction.of]!.dtype) !== undefined);
}

export interface ExpressionRequest {
  readonly tier: Tier;
  readonly sharedMemory: boolean;
  readonly expression: FusedExpression;
  readonly operands: readonly TensorSpec[];
  readonly signature: Signature;
}

/** The bytes of the module; it imports `env.memory`, `env.sin` and `env.cos`. */
export function emitExpression(request: ExpressionRequest): Uint8Array<ArrayBuffer> {
  const { tier, sharedMemory, expression, operands, signature } = request;
  const module = new ModuleBuilder({ sharedMemory, label: tier });
  const host = { sin: module.import('sin', ['f64'], 'f64'), cos: module.import('cos', ['f64'], 'f64') };
  const parameters = Object.fromEntries(signature.parameters.map(({ name, type }) => [name, type]));
  module.function({ name: functionName, parameters, result: 'void', exported: true }, (f, p) => {
    const writing = { f, expression, operands, signature, p, context: { f, arithmetic: ARITHMETIC[tier], host } };
    if (!expression.reduction) writeMap(writing);
    else if (signature.nest.innermost === 'reduced') writeRowReduction(writing);
    else writeColumnReduction(writing);
  });
  return module.encode();
}
