/**
 * Shortcut probes: solvers that must fail. Each looks at one thing that should not tell the answer (nothing, the question, a grey
 * image, the amount of ink), learns what it can from the training split, and is scored on the test split. A task passes where
 * each probe stays within five points of chance; a probe above that has found a shortcut that a model would find too.
 */
import type { TaskDefinition } from '../tasks/task.js';

/** How many samples a probe learns from and is scored on. */
export interface ProbeOptions {
  /** Of the train split; 1,000 by default. */
  readonly train?: number;
  /** Of the test split; 1,000 by default. */
  readonly test?: number;
}

/** What a probe achieved. */
export interface ProbeResult {
  readonly probe: string;
  /** 0 to 1. */
  readonly accuracy: number;
  /** Chance and five points: the most a probe may achieve. */
  readonly limit: number;
  readonly passed: boolean;
  /** Test samples. */
  readonly n: number;
}

/** A sample as a probe sees it: one key, made of what it may look at, and the answer. */
export interface ProbeItem {
  readonly key: string;
  readonly answer: string;
}

const ALLOWANCE = 0.05;

/** Number of samples by default. */
export const PROBE_SAMPLES = 1000;

/** The verdict on a probe's accuracy. */
export function probeResult(task: TaskDefinition, probe: string, accuracy: number, n: number): ProbeResult {
  const limit = task.chance + ALLOWANCE;
  return { probe, accuracy, limit, passed: accuracy <= limit, n };
}

/** The most frequent element; the first of them to appear where several are. */
export function mode(values: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  let best: string | undefined;
  for (const [value, count] of counts) if (best === undefined || count > (counts.get(best) ?? 0)) best = value;
  return best;
}

/**
 * Learns the most frequent answer for each key and predicts it; for keys that were not seen in training, the most frequent answer
 * of all. Where the key holds everything that is looked at, no other predictor does better.
 */
export function majorityProbe(
  task: TaskDefinition,
  probe: string,
  train: readonly ProbeItem[],
  test: readonly ProbeItem[],
): ProbeResult {
  const answersByKey = Map.groupBy(train, (item) => item.key);
  const overall = mode(train.map((item) => item.answer));
  const learned = new Map([...answersByKey].map(([key, items]) => [key, mode(items.map((item) => item.answer))]));
  const hits = test.filter(({ key, answer }) => (learned.has(key) ? learned.get(key) : overall) === answer);
  return probeResult(task, probe, test.length === 0 ? 0 : hits.length / test.length, test.length);
}
