/** A plan as a table that a person can read: what runs, how large it is, what it costs, and who causes the peak. */
import { explainExpression } from '../fuse/explain.js';
import { fusedExpressionOp } from '../fuse/expression-op.js';
import type { FusedExpression } from '../fuse/expression.js';
import type { Op } from '../op.js';
import { formatSpec } from '../ops/operands.js';
import { sizeOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';
import type { Place } from './places.js';
import type { Plan } from './plan.js';
import type { PlanStep } from './program.js';
import { byteLengthOf, lifetimesOf } from './storage.js';

/** Inputs or outputs named before the rest is only counted. */
const listed = 12;

const shortList = (names: readonly string[]): string =>
  names.length <= listed ? names.join(', ') : `${names.slice(0, listed).join(', ')} and ${names.length - listed} more`;

/** Values named as causes of the peak. */
const causesShown = 5;

/** Floating-point operations of one step. */
export function flopsOf({ op, inputs, outputs, attributes }: PlanStep, values: readonly TensorSpec[]): number {
  const specs = (list: readonly number[]): TensorSpec[] => list.map((value) => values[value]!);
  if (op.flops) return op.flops(specs(inputs), specs(outputs), attributes);
  return specs(outputs).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

/** Bytes that one step reads and writes, each operand once. */
export const trafficOf = ({ inputs, outputs }: PlanStep, values: readonly TensorSpec[]): number =>
  [...new Set([...inputs, ...outputs])].reduce((sum, value) => sum + byteLengthOf(values[value]!), 0);

export function explainPlan(plan: Plan): string {
  const { values, steps, inputs, outputs, donations, arena, places, storage } = plan;
  const describe = (value: number): string => {
    const { owner, byteOffset } = storage[value]!;
    const from = owner === value ? '' : ` of %${owner}${byteOffset > 0 ? `+${byteOffset}` : ''}`;
    return `%${value}${from} ${formatSpec(values[value]!)}`;
  };
  const result = (value: number): string => `${describe(value)}${placeNote(places[value])}`;
  const operand = (value: number): string => (storage[value]!.owner === value ? `%${value}` : describe(value));
  const rows = steps.map((step, i) => [
    String(i),
    `${step.outputs.map(result).join(', ')} = ${step.op.name}(${step.inputs.map(operand).join(', ')})${expressionNote(step)}`,
    formatBytes(trafficOf(step, values)),
    formatCount(flopsOf(step, values), 'FLOP'),
    [step.recomputed ? 'recomputed' : '', step.origin ?? ''].filter(Boolean).join(' '),
  ]);
  const flops = steps.reduce((sum, step) => sum + flopsOf(step, values), 0);
  const again = steps.filter(({ recomputed }) => recomputed);
  const againFlops = again.reduce((sum, step) => sum + flopsOf(step, values), 0);
  return [
    `inputs ${shortList(inputs.map(describe))}`,
    ...alignColumns(rows),
    `outputs ${shortList(outputs.map((value) => `%${value}`))}; ${donations.length} take over a donor, ${plan.copies.length} copied at the end`,
    `${steps.length} steps, ${formatCount(flops, 'FLOP')}${again.length > 0 ? `, of which ${again.length} steps and ${formatCount(againFlops, 'FLOP')} recomputed` : ''}`,
    `memory: inputs ${formatBytes(plan.inputBytes)}, new outputs ${formatBytes(plan.outputBytes)}, arena ${formatBytes(arena.byteLength)} (alive at most ${formatBytes(arena.liveBytes)}); peak ${formatBytes(plan.peakBytes)}`,
    ...explainPeak(plan, describe),
  ].join('\n');
}

/** The step with the most bytes alive in the arena, and the largest of them. */
function explainPeak(plan: Plan, describe: (value: number) => string): string[] {
  const { arena, steps, storage, places, values } = plan;
  const step = steps[arena.peakStep];
  if (arena.byteLength === 0 || !step) return [];
  const { born, dies } = lifetimesOf(plan, storage);
  const alive = values
    .flatMap((_, value) => (places[value]?.kind === 'arena' && storage[value]!.owner === value ? [value] : []))
    .filter((value) => born[value]! <= arena.peakStep && dies[value]! >= arena.peakStep)
    .sort((a, b) => byteLengthOf(values[b]!) - byteLengthOf(values[a]!));
  const causes = alive.slice(0, causesShown).map((value) => {
    const writer = steps[born[value]!]!;
    return `  ${formatBytes(byteLengthOf(values[value]!))} ${describe(value)}, written by ${writer.op.name} in step ${born[value]}, last read in step ${dies[value]}${writer.origin ? ` (${writer.origin})` : ''}`;
  });
  const rest = alive.length - causes.length;
  return [
    `peak at step ${arena.peakStep} (${step.op.name}), caused by`,
    ...causes,
    ...(rest > 0 ? [`  and ${rest} smaller`] : []),
  ];
}

const expressionNote = ({ op, attributes }: PlanStep): string =>
  op === (fusedExpressionOp as Op) ? `: ${explainExpression(attributes as FusedExpression)}` : '';

function placeNote(place: Place | undefined): string {
  if (place?.kind === 'output') return ' → output';
  if (place?.kind === 'input') return ` → over input ${place.position}`;
  return '';
}

function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...rows.map((row) => row[column]!.length)));
  return rows.map(([index, text, bytes, flops, notes]) =>
    `${index!.padStart(widths[0]!)}  ${text!.padEnd(widths[1]!)}  ${bytes!.padStart(widths[2]!)}  ${flops!.padStart(widths[3]!)}  ${notes}`.trimEnd(),
  );
}

const decimals = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** Bytes with a binary unit. */
export function formatBytes(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  if (bytes < 1024) return `${bytes} B`;
  let unit = -1;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${decimals(value)} ${units[unit]}`;
}

function formatCount(count: number, noun: string): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? value : decimals(value)} ${units[unit]}${noun}`;
}
