/**
 * Which steps of a program can be fused, and what their operands really are.
 *
 * Fusible are ops of `scalarOps` (f16 and bf16 only through casts) and the reductions. Their operands are looked at through
 * steps that a fused expression does not need: `full` is a constant of the expression, and a `broadcastTo` that only fusible
 * steps read is its source, broadcast for free. Such *leaf steps* run only if somebody reads them after all.
 */
import { isArithmetic } from '../dtype.js';
import { type Op, fullOp } from '../op.js';
import { broadcastToOp } from '../ops/broadcast-to.js';
import { type PlanStep, type Program, readersOf } from '../plan/program.js';
import type { ReductionKind } from './expression.js';
import { reductionOp, scalarOps } from './scalar-ops.js';

export type StepKind = 'elementwise' | 'reduction' | 'leaf' | 'other';

/** An operand of a fusible step: a value of the program, or a constant made by a `full` step. */
export interface Leaf {
  readonly value: number;
  readonly constant?: number;
}

export interface ProgramLeaves {
  readonly kinds: readonly StepKind[];
  /** The operands of each fusible step; empty for others. */
  readonly leaves: readonly (readonly Leaf[])[];
  /** For each value the step that writes it; undefined for inputs. */
  readonly writers: readonly (number | undefined)[];
  /**
   * For each value the steps that read it, fusible ones past leaf steps; past the end for outputs. Leaf steps, and fusible
   * steps that take a constant from one, are no readers.
   */
  readonly readers: readonly (readonly number[])[];
}

const reductionKinds: readonly ReductionKind[] = ['sum', 'max'];

/** The reduction that an op is, if it is one. */
export const reductionKindOf = (op: Op): ReductionKind | undefined =>
  reductionKinds.find((kind) => op === (reductionOp(kind) as Op));

export function leavesOf(program: Program): ProgramLeaves {
  const { values, steps, outputs } = program;
  const writers: (number | undefined)[] = values.map(() => undefined);
  steps.forEach((step, i) => {
    for (const value of step.outputs) writers[value] = i;
  });
  const kinds: StepKind[] = steps.map((step) => kindOf(step, program));
  const isFusible = (step: number): boolean => kinds[step] === 'elementwise' || kinds[step] === 'reduction';
  const raw = readersOf(program);
  steps.forEach(({ op, outputs: [result] }, i) => {
    const isCopied = op === (broadcastToOp as Op) && raw[result!]!.every(isFusible);
    const isConstant = op === (fullOp as Op) && isArithmetic(values[result!]!.dtype);
    if (isCopied || isConstant) kinds[i] = 'leaf';
  });
  const leafOf = (value: number): Leaf => {
    const writer = writers[value];
    if (writer === undefined || kinds[writer] !== 'leaf') return { value };
    const { op, inputs, attributes } = steps[writer]!;
    return op === (fullOp as Op)
      ? { value, constant: (attributes as { readonly value: number }).value }
      : leafOf(inputs[0]!);
  };
  const leaves = steps.map(({ inputs }, i) => {
    const own = isFusible(i) ? inputs.map(leafOf) : [];
    if (own.some(({ constant }) => constant === undefined)) return own;
    if (isFusible(i)) kinds[i] = 'other'; // of constants only: nothing to fuse with
    return [];
  });
  const readers: number[][] = values.map(() => []);
  const read = (value: number, by: number): void => {
    if (readers[value]!.at(-1) !== by) readers[value]!.push(by);
  };
  steps.forEach(({ inputs }, i) => {
    const operands = isFusible(i) ? leaves[i]! : kinds[i] === 'other' ? inputs.map((value): Leaf => ({ value })) : [];
    for (const { value, constant } of operands) if (constant === undefined) read(value, i);
  });
  for (const value of outputs) read(value, steps.length);
  return { kinds, leaves, writers, readers };
}

function kindOf({ op, inputs, outputs }: PlanStep, { values }: Program): StepKind {
  const dtypes = [...inputs, ...outputs].map((value) => values[value]!.dtype);
  if (scalarOps().get(op.name) === op)
    return op.name === 'cast' || dtypes.every(isArithmetic) ? 'elementwise' : 'other';
  return reductionKindOf(op) ? 'reduction' : 'other';
}
