/**
 * The harness: brings the samples of a task to a solver, one after the other in a fixed order, and keeps what came of it.
 *
 * A run can be cut into shards (sample i belongs to shard i mod count), stopped, and resumed from its records: a sample with a
 * record is not asked again, and the result is the same as that of a run that was never stopped.
 */
import type { Split } from '../scene/scene.js';
import type { TaskDefinition } from '../tasks/task.js';
import { inputHash, promptOf, recordOf } from './record.js';
import type { SampleRecord } from './record.js';
import type { Condition, Solver } from './solver.js';
import { summarize } from './summary.js';
import type { EvaluationSummary } from './summary.js';

/** A part of a run: of every `count` consecutive samples, the one at `index`. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** How to evaluate. */
export interface EvaluateOptions {
  readonly split: Split;
  /** Evaluate only the first so many samples of the split; all by default. */
  readonly limit?: number;
  readonly shard?: Shard;
  /** 'standard' by default. */
  readonly condition?: Condition;
  /** Records of an earlier, unfinished run of the same task, split, condition and solver. */
  readonly resumeFrom?: Iterable<SampleRecord>;
  /** Called after each new record, in order, and awaited: the place to append it to a file. */
  readonly onSample?: (record: SampleRecord, progress: Progress) => void | Promise<void>;
  /** Stops before the next sample with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Of the interval; 0.95 by default. */
  readonly confidence?: number;
}

/** How far a run has come. */
export interface Progress {
  /** Samples with a record, resumed ones included. */
  readonly done: number;
  readonly total: number;
}

/** What a run yields. */
export interface Evaluation {
  /** In the order of the split. */
  readonly records: readonly SampleRecord[];
  readonly summary: EvaluationSummary;
}

/** The indices of a run, ascending. Throws a RangeError for a limit or a shard that makes no sense. */
function indicesOf(task: TaskDefinition, { split, limit, shard }: EvaluateOptions): number[] {
  const size = task.splits[split];
  if (size === undefined) {
    throw new RangeError(
      `${task.name}: there is no split "${split}"; choose one of ${Object.keys(task.splits).join(', ')}`,
    );
  }
  if (limit !== undefined && (!Number.isInteger(limit) || limit < 1)) {
    throw new RangeError(`limit ${limit} is not a number of samples; give an integer from 1 to ${size}`);
  }
  const { index: first, count: step } = shard ?? { index: 0, count: 1 };
  if (!Number.isInteger(step) || step < 1 || !Number.isInteger(first) || first < 0 || first >= step) {
    throw new RangeError(
      `shard ${first} of ${step} does not exist; shards are numbered from 0 to their count less one`,
    );
  }
  const indices: number[] = [];
  for (let index = first; index < Math.min(size, limit ?? size); index += step) indices.push(index);
  return indices;
}

/**
 * Evaluates `solver` on `task`.
 *
 * @throws what `signal` was aborted with; an Error naming the sample where the solver fails or a resumed record is of another
 *   sample than the one that this version of the task generates. Records passed to `onSample` before that stay valid.
 */
export async function evaluate(task: TaskDefinition, solver: Solver, options: EvaluateOptions): Promise<Evaluation> {
  const { split, condition = 'standard', onSample, signal } = options;
  const indices = indicesOf(task, options);
  const finished = new Map<string, SampleRecord>();
  for (const record of options.resumeFrom ?? []) finished.set(record.id, record);

  const records: SampleRecord[] = [];
  for (const index of indices) {
    signal?.throwIfAborted();
    const sample = task.generate(split, index);
    const earlier = finished.get(sample.id);
    if (earlier !== undefined) {
      if (earlier.inputHash !== inputHash(task, sample) || earlier.gold !== sample.answer) {
        throw new Error(`${sample.id}: the earlier record was made from another sample; start the run afresh`);
      }
      records.push(earlier);
      continue;
    }
    const record = await solver
      .answer(sample, { prompt: promptOf(task, sample), condition, ...(signal === undefined ? {} : { signal }) })
      .then(
        (answer) => recordOf(task, sample, answer),
        (cause: unknown) => {
          signal?.throwIfAborted();
          const reason = cause instanceof Error ? cause.message : String(cause);
          throw new Error(`${solver.name} failed on ${sample.id}: ${reason}`, { cause });
        },
      );
    records.push(record);
    await onSample?.(record, { done: records.length, total: indices.length });
  }
  return { records, summary: summarize(task, records, options.confidence) };
}

/**
 * Puts the records of several shards together, in the order of the split.
 *
 * @throws Error naming a sample that occurs twice.
 */
export function mergeRecords(shards: readonly (readonly SampleRecord[])[]): SampleRecord[] {
  const merged = shards.flat().sort((a, b) => a.index - b.index);
  for (const [place, record] of merged.entries()) {
    if (merged[place + 1]?.id === record.id) {
      throw new Error(`${record.id} occurs in two shards; merge each shard of one run once`);
    }
  }
  return merged;
}
