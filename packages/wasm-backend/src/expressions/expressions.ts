/** Kernels of fused expressions: one module for each structure, made when it is first wanted and kept for the device. */
import { type FusedExpression, type TensorSpec, expressionKey, sizeOf } from '@mindseye/tensor-core';
import type { Kernels } from '../kernels/index.js';
import { emitExpression, functionName } from './emit-expression.js';
import { signatureOf } from './signature.js';

type ExpressionFunction = (...values: readonly number[]) => void;

/** Runs one application. @param pointers byte offsets by number. @param used numbers of the outputs, then of the operands. */
export type BoundExpression = (pointers: readonly number[], used: readonly number[]) => void;

export interface Expressions {
  /** The kernel of an expression that `canEmit` is true of, for operands of these specs. */
  bind(expression: FusedExpression, operands: readonly TensorSpec[]): BoundExpression;
  /** How many modules were made so far. */
  modules(): number;
}

export function createExpressions({ engine }: Pick<Kernels, 'engine'>): Expressions {
  const { tier, sharedMemory } = engine;
  const functions = new Map<string, ExpressionFunction>();
  return {
    modules: () => functions.size,
    bind(expression, operands) {
      const signature = signatureOf(expression, operands);
      const key = expressionKey(expression, operands);
      let run = functions.get(key);
      if (!run) {
        const bytes = emitExpression({ tier, sharedMemory, expression, operands, signature });
        run = engine.instantiate(bytes).kernel(functionName);
        functions.set(key, run);
      }
      const kernel = run;
      const values = signature.parameters.map(({ value }) => value);
      // Nothing to iterate over, and what is at the pointers of empty operands is not theirs.
      const isEmpty = !expression.reduction && sizeOf(expression.shape) === 0;
      return (pointers, used) => {
        if (isEmpty) return;
        for (let i = 0; i < used.length; i++) values[i] = pointers[used[i]!]!;
        kernel(...values);
      };
    },
  };
}
