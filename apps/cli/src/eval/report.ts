/** What an evaluation says to people. */
import type { BottleneckReport, EvaluationSummary, LatentRemovalReport } from '@mindseye/eval';
import type { Colors } from '../shared/terminal.js';

export interface EvaluationReport {
  readonly task: string;
  readonly split: string;
  readonly condition: string;
  readonly model: string;
  readonly fingerprint: string;
  readonly summary: EvaluationSummary;
  readonly audit?: { readonly latentRemoval: LatentRemovalReport; readonly bottleneck: BottleneckReport };
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export function reportText(
  { task, split, condition, model, summary, audit }: EvaluationReport,
  colors: Colors,
): string {
  const { n, correct, accuracy, interval, chance, modalShare, unparsed, perClass } = summary;
  const lines = [
    `${colors.bold(`${task} ${split}`)} · ${model} · ${condition}`,
    `accuracy  ${colors.bold(percent(accuracy))}  (${correct} of ${n}; ${100 * interval.confidence} % Wilson interval ${percent(interval.low)} to ${percent(interval.high)})`,
    `chance    ${percent(chance)}   best constant answer ${percent(modalShare)}${unparsed > 0 ? `   no answer found in ${unparsed}` : ''}`,
  ];
  const classes = Object.entries(perClass);
  if (classes.length <= MOST_CLASSES)
    lines.push(`per answer  ${classes.map(([gold, { accuracy: share }]) => `${gold}: ${percent(share)}`).join('   ')}`);
  if (audit) {
    lines.push(
      '',
      colors.bold('audit'),
      `removal     ${audit.latentRemoval.text}`,
      `bottleneck  ${audit.bottleneck.text}`,
    );
  }
  return lines.join('\n');
}

/** More answers than this are no longer read as a line. */
const MOST_CLASSES = 12;
