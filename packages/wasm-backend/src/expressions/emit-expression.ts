/**
 * The module of some expressions: for each a function with nested loops, the innermost in vectors of four (`loopNest` of the core).
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

/** One application of an expression, as its function is written for it and others of the same structure. */
export interface ExpressionRequest {
  /** Name of the exported function. */
  readonly name: string;
  readonly expression: FusedExpression;
  readonly operands: readonly TensorSpec[];
  readonly signature: Signature;
}

/** The bytes of the module; it imports `env.memory`, `env.sin` and `env.cos`. */
export function emitExpressions(
  tier: Tier,
  sharedMemory: boolean,
  requests: readonly ExpressionRequest[],
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ sharedMemory, label: tier });
  const host = { sin: module.import('sin', ['f64'], 'f64'), cos: module.import('cos', ['f64'], 'f64') };
  for (const { name, expression, operands, signature } of requests) {
    const parameters = Object.fromEntries(signature.parameters.map((parameter) => [parameter.name, parameter.type]));
    module.function({ name, parameters, result: 'void', exported: true }, (f, p) => {
      const context = { f, arithmetic: ARITHMETIC[tier], host };
      const writing = { f, tier, expression, operands, signature, p, context };
      if (!expression.reduction) writeMap(writing);
      else if (signature.nest.innermost === 'reduced') writeRowReduction(writing);
      else writeColumnReduction(writing);
    });
  }
  return module.encode();
}
