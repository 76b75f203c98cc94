/**
 * Latent removal: does the answer get worse when the latents are taken out of the sequence?
 *
 * If it does not, the model answers past its latents, whatever its accuracy. LIVR reports 83.6 → 76.2 % for its model and 79.5 →
 * 79.5 % for latents that were trained without the bottleneck (arXiv 2512.21218, usefulness tests). Removal also shortens the
 * sequence; a solver that keeps the answer's position ids makes it a test of the latents alone.
 */
import type { LatentSolver } from '../harness/solver.js';
import type { SampleRecord } from '../harness/record.js';
import type { PairedComparison } from '../statistics/mcnemar.js';
import type { TaskDefinition } from '../tasks/task.js';
import {
  SIGNIFICANCE,
  compareRecords,
  conditionResult,
  describeAccuracy,
  describeP,
  describePoints,
  runConditions,
} from './condition-result.js';
import type { ConditionResult, MechanismOptions } from './condition-result.js';

/** The conditions that latent removal compares. */
export const LATENT_REMOVAL_CONDITIONS = ['standard', 'no-latents'] as const;

/** Its records. */
export type LatentRemovalRecords = Readonly<
  Record<(typeof LATENT_REMOVAL_CONDITIONS)[number], readonly SampleRecord[]>
>;

/**
 * used         removing the latents costs accuracy
 * not-shown    no difference was found; with few samples that is weak evidence
 * harmful      the model answers better without them
 * unsolved     the model does not beat the best constant answer to begin with, so the test says nothing
 */
export type LatentRemovalVerdict = 'used' | 'not-shown' | 'harmful' | 'unsolved';

/** Outcome of the test. */
export interface LatentRemovalReport {
  readonly test: 'latent-removal';
  readonly standard: ConditionResult;
  readonly noLatents: ConditionResult;
  /** Standard (first) against no latents (second). */
  readonly paired: PairedComparison;
  readonly verdict: LatentRemovalVerdict;
  /** The verdict in words. */
  readonly text: string;
}

function judge(standard: ConditionResult, noLatents: ConditionResult, paired: PairedComparison): LatentRemovalVerdict {
  const differs = paired.pValue < SIGNIFICANCE;
  if (differs && paired.difference < 0 && noLatents.aboveReference) return 'harmful';
  // A fall from 11 % to 0 % is a broken answer format, not lost information.
  if (!standard.aboveReference) return 'unsolved';
  return differs && paired.difference > 0 ? 'used' : 'not-shown';
}

const TEXT: Readonly<Record<LatentRemovalVerdict, (points: string) => string>> = {
  used: (points) => `The answers use the latents: without them accuracy falls by ${points}`,
  'not-shown': (points) => `No use of the latents is shown: without them accuracy changes by ${points}`,
  harmful: (points) => `The latents do harm: without them accuracy rises by ${points}`,
  unsolved: () => 'The test says nothing: even with latents the model does not beat the best constant answer',
};

/** Judges the records of the two conditions. */
export function latentRemovalReport(
  task: Pick<TaskDefinition, 'chance'>,
  records: LatentRemovalRecords,
  confidence?: number,
): LatentRemovalReport {
  const standard = conditionResult(task, 'standard', records.standard, confidence);
  const noLatents = conditionResult(task, 'no-latents', records['no-latents'], confidence);
  const paired = compareRecords(records.standard, records['no-latents']);
  const verdict = judge(standard, noLatents, paired);
  const numbers =
    `${describeAccuracy(standard.summary)} with, ${describeAccuracy(noLatents.summary)} without, ` +
    `n = ${paired.n}, ${describeP(paired.pValue)}`;
  return {
    test: 'latent-removal',
    standard,
    noLatents,
    paired,
    verdict,
    text: `${TEXT[verdict](describePoints(paired.difference))} (${numbers}).`,
  };
}

/** Runs `solver` with and without its latents and judges the difference. */
export async function latentRemovalTest(
  task: TaskDefinition,
  solver: LatentSolver,
  options: MechanismOptions,
): Promise<LatentRemovalReport> {
  const records = await runConditions(task, solver, LATENT_REMOVAL_CONDITIONS, options);
  return latentRemovalReport(task, records, options.confidence);
}
