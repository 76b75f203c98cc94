/** What `mindseye quantize` says of its work: `quantization_report.json`, and a table for people. */
import type { QuantizationEvaluation, QuantizationPlan, QuantizationQuality } from '@mindseye/qwen-vl';
import type { Colors } from '../shared/terminal.js';

export interface QuantizationReport {
  /** The folder's own name, or that on the hub. */
  readonly model: string;
  readonly format: string;
  readonly groupSize: number;
  readonly vision: boolean;
  /** Of all tensors; `ratio` is before / after. */
  readonly bytes: { readonly before: number; readonly after: number; readonly ratio: number };
  /** Matrices by their bits, and tensors that were copied. */
  readonly tensors: { readonly int8: number; readonly int4: number; readonly copied: number };
  /** Matrices that the format would have quantised. */
  readonly leftDense: readonly { readonly name: string; readonly reason: string }[];
  /** null where it was not asked for, or the model has no tokenizer or image processor. */
  readonly evaluation: QuantizationEvaluation | null;
}

export function quantizationReport(
  model: string,
  { policy, tensors, bytesBefore, bytesAfter }: QuantizationPlan,
  evaluation: QuantizationEvaluation | null,
): QuantizationReport {
  const count = (bits: number | undefined): number => tensors.filter((tensor) => tensor.bits === bits).length;
  return {
    model,
    format: policy.format,
    groupSize: policy.groupSize,
    vision: policy.vision,
    bytes: { before: bytesBefore, after: bytesAfter, ratio: bytesBefore / bytesAfter },
    tensors: { int8: count(8), int4: count(4), copied: count(undefined) },
    leftDense: tensors.flatMap(({ name, leftDense }) => (leftDense === undefined ? [] : [{ name, reason: leftDense }])),
    evaluation,
  };
}

const MEGABYTE = 1e6;
const size = (bytes: number): string => `${(bytes / MEGABYTE).toFixed(bytes < 10 * MEGABYTE ? 2 : 0)} MB`;

export function reportText(report: QuantizationReport, folder: string, colors: Colors): string {
  const { format, groupSize, bytes, tensors, leftDense, evaluation } = report;
  const lines = [
    `${colors.bold(folder)} · ${format}, groups of ${groupSize}`,
    `size       ${size(bytes.before)} → ${size(bytes.after)}  (${bytes.ratio.toFixed(2)} times smaller)`,
    `matrices   ${tensors.int8} in 8 bits, ${tensors.int4} in 4; ${tensors.copied} tensors as they were`,
    ...(leftDense.length > 0
      ? [`left dense ${leftDense.length} matrices, the first ${leftDense[0]!.name}: ${leftDense[0]!.reason}`]
      : []),
  ];
  if (!evaluation) return lines.join('\n');
  const { byKind } = evaluation;
  const table = [
    ['', 'tokens', 'perplexity before', 'after', 'top-1 agreement', 'KL', 'largest logit difference'],
    ...Object.entries(byKind).map(([kind, quality]) => [kind, ...figures(quality)]),
    ['all', ...figures(evaluation)],
  ];
  return [...lines, '', ...aligned(table)].join('\n');
}

const figures = (quality: QuantizationQuality): string[] => [
  String(quality.tokens),
  quality.reference.perplexity.toPrecision(5),
  quality.candidate.perplexity.toPrecision(5),
  `${quality.top1AgreementPercent.toFixed(1)} %`,
  quality.meanDivergence.toPrecision(3),
  quality.largestLogitDifference.toPrecision(3),
];

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('   ')
      .trimEnd(),
  );
}
