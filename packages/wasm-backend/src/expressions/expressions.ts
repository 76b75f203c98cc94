/**
 * Kernels of fused expressions: one function for each structure, made when it is first wanted and kept for the device. Modules
 * take a millisecond each to compile and are compiled function by function side by side, so plans prepare all of theirs at once.
 */
import { type FusedExpression, type TensorSpec, expressionKey, sizeOf } from '@mindseye/tensor-core';
import type { ExportedKernel, KernelHost } from '../kernels/host.js';
import type { Kernels } from '../kernels/index.js';
import { type ExpressionDivision, divisionOf } from './division.js';
import { type ExpressionRequest, emitExpressions } from './emit-expression.js';
import { signatureOf } from './signature.js';

/** Runs one application. @param pointers byte offsets by number. @param used numbers of the outputs, then of the operands. */
export type BoundExpression = (pointers: readonly number[], used: readonly number[]) => void;

/** An expression that `canEmit` is true of, and what it is applied to. */
export interface ExpressionApplication {
  readonly expression: FusedExpression;
  readonly operands: readonly TensorSpec[];
}

export interface Expressions {
  /** Makes the kernels that `bind` will be asked for, in one module. */
  prepare(applications: readonly ExpressionApplication[]): void;
  /** The kernel of an expression that `canEmit` is true of, for operands of these specs. */
  bind(expression: FusedExpression, operands: readonly TensorSpec[]): BoundExpression;
  /** How many kernels were made so far. */
  kernels(): number;
}

/** Parameters of an expression that is divided: a job takes so many values of all its parts together. */
const MOST_PARAMETERS = 128;

interface ExpressionKernel {
  readonly host: KernelHost;
  readonly run: ExportedKernel;
}

export function createExpressions({ engine }: Pick<Kernels, 'engine'>): Expressions {
  const { tier, sharedMemory } = engine;
  const known = new Map<string, ExpressionKernel>();
  const prepare = (applications: readonly ExpressionApplication[]): void => {
    const requests = new Map<string, ExpressionRequest>();
    for (const { expression, operands } of applications) {
      const key = expressionKey(expression, operands);
      if (known.has(key) || requests.has(key)) continue;
      const name = `expression${known.size + requests.size}`;
      requests.set(key, { name, expression, operands, signature: signatureOf(expression, operands) });
    }
    if (requests.size === 0) return;
    const host = engine.prepare(() => emitExpressions(tier, sharedMemory, [...requests.values()]), {
      family: 'expressions',
    });
    for (const [key, { name }] of requests) known.set(key, { host, run: host.kernel(name) });
  };
  return {
    kernels: () => known.size,
    prepare,
    bind(expression, operands) {
      const key = expressionKey(expression, operands);
      if (!known.has(key)) prepare([{ expression, operands }]);
      const { host, run } = known.get(key)!;
      const signature = signatureOf(expression, operands);
      const values = signature.parameters.map(({ value }) => value);
      // Nothing to iterate over, and what is at the pointers of empty operands is not theirs.
      if (!expression.reduction && sizeOf(expression.shape) === 0) return () => undefined;
      const division = values.length <= MOST_PARAMETERS ? divisionOf(expression, operands, signature) : undefined;
      return boundTo(host, run, values, division);
    },
  };
}

/** @param values of all parameters; the first are pointers, which are set for each run. */
function boundTo(
  host: KernelHost,
  kernel: ExportedKernel,
  values: number[],
  division: ExpressionDivision | undefined,
): BoundExpression {
  const place = (pointers: readonly number[], used: readonly number[]): void => {
    for (let i = 0; i < used.length; i++) values[i] = pointers[used[i]!]!;
  };
  if (!division)
    return (pointers, used) => {
      place(pointers, used);
      kernel(...values);
    };
  const { sizeParameter, moves } = division;
  const valuesOf = (from: number, size: number): number[] => {
    const part = [...values];
    moves.forEach((bytes, i) => (part[i]! += from * bytes));
    part[sizeParameter] = size;
    return part;
  };
  return (pointers, used) => {
    place(pointers, used);
    host.divide(kernel, division, valuesOf);
  };
}
