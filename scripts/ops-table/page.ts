/** docs/ops.md as text. Columns are padded as the formatter of this repository pads them. */
import type { OpRow } from './rows.ts';

/** `|` ends a cell, `*` and `_` around words would be emphasis. */
const escaped = (cell: string): string => cell.replaceAll('|', '\\|').replaceAll('*', '\\*');

const segmenter = new Intl.Segmenter('en');
const lengthOf = (text: string): number => Array.from(segmenter.segment(text)).length;

export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [header, ...rows.map((row) => row.map(escaped))];
  const widths = header.map((_, column) => Math.max(3, ...cells.map((row) => lengthOf(row[column]!))));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell + ' '.repeat(widths[column]! - lengthOf(cell))).join(' | ')} |`;
  return [line(cells[0]!), line(widths.map((width) => '-'.repeat(width))), ...cells.slice(1).map(line)].join('\n');
}

const head = `# Ops

Every op of \`@mindseye/tensor-core\`, from its table. This page is generated: \`pnpm ops-table\` writes it anew.

- **dtypes**: what \`infer\` takes, one list for each operand where they differ (separated by semicolons; "any" is f32 f16 bf16
  i32 u32 bool), in brackets that of operands which may be left out, after an arrow what comes out where that is no operand's
  dtype.
- **gradient**: "yes" has its own rule, "by decomposition" is differentiated through the primitives it stands for, "stops" has
  none by definition and sends zero.
- **fusible**: may become part of a fused expression, one kernel for a chain of elementwise ops and a reduction.
- **in place**: the result may take over the bytes of an operand that nothing reads afterwards.
- **view**: the result may be a part of the operand's bytes, so that nothing moves.
- **backends**: a "kernel" of its own (which may still leave some dtypes to the way below); code made for the "fused
  expression" it is in; "decomposed" into primitives; the "reference loops" that define the op.
`;

export function opsPage(header: readonly string[], rows: readonly OpRow[]): string {
  const section = (title: string, words: string, part: readonly OpRow[]): string =>
    `## ${title}\n\n${words}\n\n${markdownTable(
      header,
      part.map(({ cells }) => cells),
    )}\n`;
  return [
    head,
    section(
      'Primitives',
      'What everything else is made of.',
      rows.filter(({ fused }) => !fused),
    ),
    section(
      'Fused ops',
      'Each stands for a graph of primitives (`decompose`), which is what a device without a kernel runs.',
      rows.filter(({ fused }) => fused),
    ),
  ].join('\n');
}
