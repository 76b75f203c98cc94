/** What a set of records amounts to: accuracy with its interval, and the baselines without which an accuracy says nothing. */
import { wilsonInterval } from '../statistics/interval.js';
import type { Interval } from '../statistics/interval.js';
import type { TaskDefinition } from '../tasks/task.js';
import type { SampleRecord } from './record.js';

/** Result for the samples with one gold answer. */
export interface ClassSummary {
  readonly n: number;
  readonly correct: number;
  readonly accuracy: number;
}

/** Result of a run. Shares and accuracies are from 0 to 1. */
export interface EvaluationSummary {
  readonly n: number;
  readonly correct: number;
  readonly accuracy: number;
  /** Wilson score interval of the accuracy. */
  readonly interval: Interval;
  /** Expected accuracy of a uniformly random answer. */
  readonly chance: number;
  /** Share of the most frequent gold answer: the accuracy of the best constant answer. */
  readonly modalShare: number;
  /** Share of the most frequent prediction: 1 means that the solver always says the same. */
  readonly modalPredictionShare: number;
  /** Responses in which the parser found no answer; they count as wrong. */
  readonly unparsed: number;
  readonly perClass: Readonly<Record<string, ClassSummary>>;
  /** How often each answer was predicted; unparsed responses are left out. */
  readonly predictionHistogram: Readonly<Record<string, number>>;
}

/** Numbers first and by value ("2" before "10"), then the rest by name. */
const byAnswer = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a.localeCompare(b, 'en', { numeric: true });

function tally(answers: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return new Map([...counts].sort(byAnswer));
}

const largest = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((most, count) => Math.max(most, count), 0);

/** Of no samples, NaN would not survive JSON; an accuracy of 0 with the interval [0, 1] says as much. */
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/** Summarises records of one task, of one run or of all its shards together. */
export function summarize(
  task: Pick<TaskDefinition, 'chance'>,
  records: readonly SampleRecord[],
  confidence = 0.95,
): EvaluationSummary {
  const n = records.length;
  const correct = records.reduce((sum, record) => sum + record.correct, 0);
  const golds = tally(records.map((record) => record.gold));
  const right = tally(records.filter((record) => record.correct === 1).map((record) => record.gold));
  const predictions = tally(records.flatMap(({ prediction }) => (prediction === null ? [] : [prediction])));
  const perClass = [...golds].map(([gold, count]) => {
    const hits = right.get(gold) ?? 0;
    return [gold, { n: count, correct: hits, accuracy: ratio(hits, count) }] as const;
  });
  return {
    n,
    correct,
    accuracy: ratio(correct, n),
    interval: wilsonInterval(correct, n, confidence),
    chance: task.chance,
    modalShare: ratio(largest(golds), n),
    modalPredictionShare: ratio(largest(predictions), n),
    unparsed: records.filter((record) => record.prediction === null).length,
    perClass: Object.fromEntries(perClass),
    predictionHistogram: Object.fromEntries(predictions),
  };
}
