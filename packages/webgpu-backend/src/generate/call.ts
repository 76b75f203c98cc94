/** One application of a fused expression, and how its shader reaches the operands. */
import type { DType, FusedExpression, TensorSpec } from '@mindseye/tensor-core';
import { wgslTypeOf } from '../element.js';
import { type Operand, input } from '../wgsl/dispatch.js';
import { loadElement } from '../wgsl/map.js';

export interface ExpressionCall {
  /** For error messages and captures. */
  readonly name: string;
  readonly expression: FusedExpression;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** For each input the output that lies on it, if any. */
  readonly overwritten?: readonly (number | undefined)[];
}

/** Bindings of the inputs that no output lies on: `in0`, `in1`, … */
export const operandsOf = (
  inputs: readonly TensorSpec[],
  overwritten: readonly (number | undefined)[] = [],
): Operand[] =>
  inputs.flatMap(({ dtype }, i) =>
    overwritten[i] === undefined ? [{ name: `in${i}`, type: wgslTypeOf(dtype), from: input(i) }] : [],
  );

/** The element of a dtype in an array that is declared for another dtype of the same size. */
export function castLoad(array: string, dtype: DType, declared: DType, index: string): string {
  const element = loadElement(array, dtype, index);
  return wgslTypeOf(dtype) === wgslTypeOf(declared) ? element : `bitcast<${wgslTypeOf(dtype)}>(${element})`;
}
