/**
 * What a solver achieves under one condition, against what it would achieve without looking.
 *
 * Accuracy alone is no evidence: a model that always says "A" scores the share of A. So the reference is the better of chance and
 * the best constant answer, and an accuracy counts as above it only by more than three standard errors:
 *
 *   accuracy − max(chance, modal share) > 3 · SE
 *
 * SE is the larger of the binomial standard errors at the accuracy and at the reference, √(p(1 − p)/n): the first is 0 when every
 * one of a few samples happens to be right, which must not pass as certainty.
 */
import { evaluate } from '../harness/evaluate.js';
import type { EvaluateOptions, Progress } from '../harness/evaluate.js';
import type { SampleRecord } from '../harness/record.js';
import type { Condition, LatentSolver } from '../harness/solver.js';
import { summarize } from '../harness/summary.js';
import type { EvaluationSummary } from '../harness/summary.js';
import { comparePaired } from '../statistics/mcnemar.js';
import type { PairedComparison } from '../statistics/mcnemar.js';
import type { TaskDefinition } from '../tasks/task.js';

/** Accuracy under one condition, against its baseline. */
export interface ConditionResult {
  readonly condition: Condition;
  readonly summary: EvaluationSummary;
  /** The better of chance and the best constant answer. */
  readonly reference: number;
  /** Accuracy less reference. */
  readonly excess: number;
  readonly standardError: number;
  /** Whether the excess is more than three standard errors. */
  readonly aboveReference: boolean;
}

/** Records by condition. */
export type ConditionRecords = Readonly<Partial<Record<Condition, readonly SampleRecord[]>>>;

/** How to run a mechanism test: as an evaluation, for several conditions. */
export interface MechanismOptions extends Omit<EvaluateOptions, 'condition' | 'resumeFrom' | 'onSample'> {
  /** Records that are there already; a condition that two tests share is then asked once. */
  readonly resumeFrom?: ConditionRecords;
  readonly onSample?: (record: SampleRecord, condition: Condition, progress: Progress) => void | Promise<void>;
}

/** Below this p two conditions differ. */
export const SIGNIFICANCE = 0.05;

const STANDARD_ERRORS = 3;

const binomialStandardError = (p: number, n: number): number => (n === 0 ? 1 : Math.sqrt((p * (1 - p)) / n));

/** Judges the records of one condition. */
export function conditionResult(
  task: Pick<TaskDefinition, 'chance'>,
  condition: Condition,
  records: readonly SampleRecord[],
  confidence?: number,
): ConditionResult {
  const summary = summarize(task, records, confidence);
  const reference = Math.max(summary.chance, summary.modalShare);
  const excess = summary.accuracy - reference;
  const standardError = Math.max(
    binomialStandardError(summary.accuracy, summary.n),
    binomialStandardError(reference, summary.n),
  );
  return {
    condition,
    summary,
    reference,
    excess,
    standardError,
    aboveReference: excess > STANDARD_ERRORS * standardError,
  };
}

/** Runs `solver` under each condition on the same samples. Throws an Error where the solver does not honour one of them. */
export async function runConditions<C extends Condition>(
  task: TaskDefinition,
  solver: LatentSolver,
  conditions: readonly C[],
  options: MechanismOptions,
): Promise<Record<C, readonly SampleRecord[]>> {
  const unsupported = conditions.find((condition) => !solver.conditions.includes(condition));
  if (unsupported !== undefined) {
    throw new Error(
      `${solver.name} cannot answer under "${unsupported}", only under ${solver.conditions.join(', ')}; this test needs ` +
        `${conditions.join(', ')}`,
    );
  }
  const { resumeFrom = {}, onSample, ...common } = options;
  const entries: [C, readonly SampleRecord[]][] = [];
  for (const condition of conditions) {
    const { records } = await evaluate(task, solver, {
      ...common,
      condition,
      resumeFrom: resumeFrom[condition] ?? [],
      ...(onSample === undefined ? {} : { onSample: (record, progress) => onSample(record, condition, progress) }),
    });
    entries.push([condition, records]);
  }
  return Object.fromEntries(entries) as Record<C, readonly SampleRecord[]>;
}

/** Compares correctness on the same samples. Throws an Error where the two lists are not of the same samples in one order. */
export function compareRecords(first: readonly SampleRecord[], second: readonly SampleRecord[]): PairedComparison {
  const differing = first.findIndex((record, place) => record.inputHash !== second[place]?.inputHash);
  if (first.length !== second.length || differing >= 0) {
    const at = differing >= 0 ? first[differing]?.id : `sample ${Math.min(first.length, second.length)}`;
    throw new Error(`the two conditions were not asked the same from ${at} on; run both on one split, limit and shard`);
  }
  return comparePaired(
    first.map((record) => record.correct),
    second.map((record) => record.correct),
  );
}

/** "41.8 % [39.7, 44.0]". */
export function describeAccuracy({ accuracy, interval }: EvaluationSummary): string {
  const percent = (share: number): string => (100 * share).toFixed(1);
  return `${percent(accuracy)} % [${percent(interval.low)}, ${percent(interval.high)}]`;
}

/** "12.3 points". */
export function describePoints(difference: number): string {
  return `${Math.abs(100 * difference).toFixed(1)} points`;
}

/** "p < 0.001" or "p = 0.042". */
export function describeP(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`;
}
