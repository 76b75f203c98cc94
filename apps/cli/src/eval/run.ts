/** Runs a task under one condition after another, with records on disk and progress on the terminal. */
import {
  type Condition,
  type LatentSolver,
  type SampleRecord,
  type Shard,
  type Split,
  type TaskDefinition,
  evaluate,
  runHeader,
} from '@mindseye/eval';
import { breathe } from '../shared/breathe.js';
import { InterruptedError } from '../shared/errors.js';
import { startProgress } from '../shared/progress.js';
import type { Terminal } from '../shared/terminal.js';
import { openRecords, recordFile } from './records.js';

export interface EvaluationRun {
  readonly task: TaskDefinition;
  readonly solver: LatentSolver;
  readonly split: Split;
  readonly limit?: number;
  readonly shard?: Shard;
  /** Where records go; they are kept in memory alone when left out. */
  readonly output?: string;
  readonly resume: boolean;
}

export type RecordsByCondition = ReadonlyMap<Condition, readonly SampleRecord[]>;

/** @throws InterruptedError when the user stops it; finished samples are kept */
export async function evaluateConditions(
  run: EvaluationRun,
  conditions: readonly Condition[],
  terminal: Terminal,
): Promise<RecordsByCondition> {
  const records = new Map<Condition, readonly SampleRecord[]>();
  const interrupted = terminal.catchInterrupts();
  for (const condition of conditions) {
    try {
      records.set(condition, await evaluateCondition(run, condition, terminal, interrupted));
    } catch (error) {
      if (!interrupted.aborted) throw error;
      const cure =
        run.output === undefined
          ? 'give --output to be able to resume'
          : 'the same command with --resume goes on from there';
      throw new InterruptedError(`interrupted; ${cure}`, { cause: error });
    }
  }
  return records;
}

async function evaluateCondition(
  { task, solver, split, limit, shard, output, resume }: EvaluationRun,
  condition: Condition,
  terminal: Terminal,
  interrupted: AbortSignal,
): Promise<readonly SampleRecord[]> {
  const header = runHeader(task, solver, split, condition);
  const log = output === undefined ? undefined : await openRecords(recordFile(output, condition), header, resume);
  const count = Math.ceil(
    (Math.min(limit ?? Infinity, task.splits[split]) - (shard?.index ?? 0)) / (shard?.count ?? 1),
  );
  const progress = startProgress(terminal, `${task.name} ${split} ${condition}`, count);
  let correct = 0;
  let asked = 0;
  try {
    const { records } = await evaluate(task, solver, {
      split,
      condition,
      ...(limit !== undefined && { limit }),
      ...(shard && { shard }),
      ...(log && { resumeFrom: log.records }),
      signal: interrupted,
      onSample: async (record, { done }) => {
        await log?.append(record);
        correct += record.correct;
        progress.update(done, `${((100 * correct) / ++asked).toFixed(1)} % right`);
        await breathe();
      },
    });
    return records;
  } finally {
    progress.stop();
    await log?.close();
  }
}
