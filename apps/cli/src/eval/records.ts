/** Record files of an evaluation: one per condition. */
import path from 'node:path';
import type { Condition, RunHeader } from '@mindseye/eval';
import { type RecordLog, openRecordLog } from '@mindseye/eval/node';
import { CommandError } from '../shared/errors.js';
import { outputFileExists } from '../shared/folder.js';

/** `results.jsonl` as trained, `results.bottleneck.jsonl` under the bottleneck, and so on. */
export function recordFile(file: string, condition: Condition): string {
  const { dir, name, ext } = path.parse(file);
  return condition === 'standard' ? file : path.join(dir, `${name}.${condition}${ext}`);
}

/**
 * Opens a file to append to.
 * @throws CommandError when it is there and the user did not ask to resume
 */
export async function openRecords(file: string, header: RunHeader, resume: boolean): Promise<RecordLog> {
  if ((await outputFileExists(file)) && !resume)
    throw new CommandError(`${file} is there already; --resume to go on with it, or choose another name`);
  return openRecordLog(file, header);
}
