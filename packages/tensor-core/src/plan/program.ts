/**
 * The intermediate form between a graph and a plan: steps over numbered values, in the order they run.
 *
 * Every pass of the plan compiler is a function from program to program. A value has one writer: it is an input, or an
 * output of one step.
 */
import type { Op } from '../op.js';
import type { TensorSpec } from '../tensor.js';

export interface PlanStep {
  readonly op: Op;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly attributes: object;
  /** True for work that a checkpoint does a second time. */
  readonly recomputed?: boolean;
  /** The source line that built the node, where origins are tracked. */
  readonly origin?: string;
}

export interface Program {
  /** Shape and dtype of every value. */
  readonly values: readonly TensorSpec[];
  readonly inputs: readonly number[];
  readonly steps: readonly PlanStep[];
  readonly outputs: readonly number[];
}

/** For each value the steps that read it, in order; an output of the program counts as read at `steps.length`. */
export function readersOf({ values, steps, outputs }: Pick<Program, 'values' | 'steps' | 'outputs'>): number[][] {
  const readers: number[][] = values.map(() => []);
  steps.forEach((step, i) => {
    for (const value of step.inputs) if (readers[value]!.at(-1) !== i) readers[value]!.push(i);
  });
  for (const value of outputs) if (readers[value]!.at(-1) !== steps.length) readers[value]!.push(steps.length);
  return readers;
}

/** The program without steps that no output depends on. */
export function withoutDeadSteps(program: Program): Program {
  const wanted = new Set(program.outputs);
  const kept: PlanStep[] = [];
  for (let i = program.steps.length - 1; i >= 0; i--) {
    const step = program.steps[i]!;
    if (!step.outputs.some((value) => wanted.has(value))) continue;
    kept.push(step);
    for (const value of step.inputs) wanted.add(value);
  }
  return { ...program, steps: kept.reverse() };
}
