/**
 * The order in which steps run.
 *
 * Any topological order computes the same; they differ in how much is alive at once. Two natural orders are tried, depth
 * first from the outputs (as emitted) and the order in which the program built its nodes (an eager framework's), and the one
 * with the lower peak is taken. Values that need nothing (constants) are made right before their first reader.
 */
import { PriorityQueue } from './priority-queue.js';
import { peakOf, storageOf } from './storage.js';
import type { Program } from './program.js';

/** `program` in the order with the lowest peak. @param created for each step, when its node was built. */
export function schedule(program: Program, created: readonly number[]): Program {
  const candidates = [program, byCreation(program, created)].map(constantsLate);
  const peaks = candidates.map((candidate) => peakOf(candidate, storageOf(candidate)));
  return candidates[peaks.indexOf(Math.min(...peaks))]!;
}

/** Steps ordered by when their nodes were built, as far as their operands allow. */
function byCreation(program: Program, created: readonly number[]): Program {
  const { steps } = program;
  const writer = new Map<number, number>();
  steps.forEach((step, i) => {
    for (const value of step.outputs) writer.set(value, i);
  });
  const waiting = steps.map(({ inputs }) => new Set(inputs.flatMap((value) => writer.get(value) ?? [])).size);
  const dependents: number[][] = steps.map(() => []);
  steps.forEach(({ inputs }, i) => {
    for (const from of new Set(inputs.flatMap((value) => writer.get(value) ?? []))) dependents[from]!.push(i);
  });
  // Sorted by (created, emitted): the emitted order is topological, so a step that is ready early waits for its turn.
  const before = (a: number, b: number): boolean => created[a]! < created[b]! || (created[a] === created[b] && a < b);
  const ready = new PriorityQueue(before);
  waiting.forEach((count, i) => {
    if (count === 0) ready.push(i);
  });
  const order: number[] = [];
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    order.push(next);
    for (const dependent of dependents[next]!) if (--waiting[dependent]! === 0) ready.push(dependent);
  }
  return { ...program, steps: order.map((i) => steps[i]!) };
}

/** Steps without operands move to their first reader. */
function constantsLate(program: Program): Program {
  const pending = new Map<number, (typeof program.steps)[number]>();
  for (const step of program.steps)
    if (step.inputs.length === 0) for (const value of step.outputs) pending.set(value, step);
  const done = new Set<(typeof program.steps)[number]>();
  const steps = program.steps.flatMap((step) => {
    if (step.inputs.length === 0) return [];
    const first = step.inputs.flatMap((value) => pending.get(value) ?? []).filter((constant) => !done.has(constant));
    for (const constant of first) done.add(constant);
    return [...new Set(first), step];
  });
  const rest = program.steps.filter((step) => step.inputs.length === 0 && !done.has(step));
  return { ...program, steps: [...steps, ...rest] };
}
