/**
 * The bottleneck test: how much of the answer can pass through the latents alone?
 *
 * Under the bottleneck mask only the latents see the image; question and answer see it through them. A model whose latents carry
 * what was seen stays above the best constant answer; one that answers past its latents falls to it. With the latents gone as
 * well nothing of the image can arrive, so an accuracy above the reference there means that the mask leaks. LIVR reports 70.5 %
 * under the bottleneck against 43.4 % for latents trained without it, and 43.4 % with no latents: exactly its modal answer's
 * share (arXiv 2512.21218, usefulness tests).
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

/** The conditions that the bottleneck test compares. */
export const BOTTLENECK_CONDITIONS = ['standard', 'bottleneck', 'bottleneck-no-latents'] as const;

/** Its records. */
export type BottleneckRecords = Readonly<Record<(typeof BOTTLENECK_CONDITIONS)[number], readonly SampleRecord[]>>;

/**
 * carried      the latents alone carry enough of the image to beat the best constant answer, and beat having no latents
 * not-carried  under the bottleneck the model does no better than a constant answer, or than without latents
 * leak         it beats the constant answer with image and latents both cut off: the mask or the task lets something past
 */
export type BottleneckVerdict = 'carried' | 'not-carried' | 'leak';

/** Outcome of the test. */
export interface BottleneckReport {
  readonly test: 'bottleneck';
  readonly standard: ConditionResult;
  readonly bottleneck: ConditionResult;
  readonly bottleneckNoLatents: ConditionResult;
  /** Standard (first) against bottleneck (second): what the direct path adds. */
  readonly standardAgainstBottleneck: PairedComparison;
  /** Bottleneck (first) against bottleneck without latents (second): what the latents carry. */
  readonly bottleneckAgainstNoLatents: PairedComparison;
  readonly verdict: BottleneckVerdict;
  /** The verdict in words. */
  readonly text: string;
}

function judge(bottleneck: ConditionResult, noLatents: ConditionResult, gain: PairedComparison): BottleneckVerdict {
  if (noLatents.aboveReference) return 'leak';
  return bottleneck.aboveReference && gain.difference > 0 && gain.pValue < SIGNIFICANCE ? 'carried' : 'not-carried';
}

const TEXT: Readonly<Record<BottleneckVerdict, (excess: string) => string>> = {
  carried: (excess) =>
    `The latents carry what was seen: through them alone accuracy is ${excess} above the best constant answer`,
  'not-carried': () =>
    'The latents do not carry the answer: through them alone the model is not shown to beat a constant answer',
  leak: () => 'The mask leaks: with image and latents both cut off the model still beats the best constant answer',
};

/** Judges the records of the three conditions. */
export function bottleneckReport(
  task: Pick<TaskDefinition, 'chance'>,
  records: BottleneckRecords,
  confidence?: number,
): BottleneckReport {
  const standard = conditionResult(task, 'standard', records.standard, confidence);
  const bottleneck = conditionResult(task, 'bottleneck', records.bottleneck, confidence);
  const bottleneckNoLatents = conditionResult(
    task,
    'bottleneck-no-latents',
    records['bottleneck-no-latents'],
    confidence,
  );
  const standardAgainstBottleneck = compareRecords(records.standard, records.bottleneck);
  const bottleneckAgainstNoLatents = compareRecords(records.bottleneck, records['bottleneck-no-latents']);
  const verdict = judge(bottleneck, bottleneckNoLatents, bottleneckAgainstNoLatents);
  const numbers =
    `${describeAccuracy(standard.summary)} standard, ${describeAccuracy(bottleneck.summary)} through the bottleneck, ` +
    `${describeAccuracy(bottleneckNoLatents.summary)} without latents as well, best constant answer ` +
    `${(100 * bottleneck.reference).toFixed(1)} %, n = ${bottleneck.summary.n}, ` +
    `latents against none ${describeP(bottleneckAgainstNoLatents.pValue)}`;
  return {
    test: 'bottleneck',
    standard,
    bottleneck,
    bottleneckNoLatents,
    standardAgainstBottleneck,
    bottleneckAgainstNoLatents,
    verdict,
    text: `${TEXT[verdict](describePoints(bottleneck.excess))} (${numbers}).`,
  };
}

/** Runs `solver` as trained, under the bottleneck, and under the bottleneck without latents, and judges the difference. */
export async function bottleneckTest(
  task: TaskDefinition,
  solver: LatentSolver,
  options: MechanismOptions,
): Promise<BottleneckReport> {
  const records = await runConditions(task, solver, BOTTLENECK_CONDITIONS, options);
  return bottleneckReport(task, records, options.confidence);
}
