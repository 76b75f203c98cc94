/** Results of steps, read from the device at once: for each sequence its token and whether it ended. */
import { type Device, concat } from '@mindseye/tensor-core';
import { flag } from './choose.js';
import type { StepResult } from './programs.js';
import { type DecodedStep, endedId } from './request.js';

/** Sequences that have ended, for the reader and for the device. */
export interface Ended {
  /** [R]: 1 for those whose last token has been read. */
  readonly sequences: Uint8Array;
  /** Ends a sequence after a token that is no stop id. */
  readonly stopWhen: ((sequence: number, id: number) => boolean) | undefined;
}

/** The records of some steps, in one read. */
export async function readRecords(steps: readonly StepResult[], device: Device): Promise<Int32Array[]> {
  const records = steps.map(({ record }) => record);
  const joined = records.length === 1 ? records[0]! : concat(records, 0);
  const words = (await joined.data(device)) as Int32Array;
  const length = words.length / steps.length;
  return steps.map((_, i) => words.subarray(i * length, (i + 1) * length));
}

/** What a record says, with the sequences that end by it marked as ended. */
export function decodedStep(record: Int32Array, { state }: StepResult, { sequences, stopWhen }: Ended): DecodedStep {
  const count = sequences.length;
  const flags = record.subarray(count, 2 * count);
  // Before anything is marked: who takes part in this step.
  const live = Array.from(sequences, (ended, r) => !ended && (flags[r]! & flag.active) !== 0);
  const has = (bit: number): Uint8Array => Uint8Array.from(live, (is, r) => Number(is && (flags[r]! & bit) !== 0));
  const floats = new Float32Array(record.slice(2 * count).buffer).map((value, i) =>
    live[i % count] ? value : Number.NaN,
  );
  const ids = record.slice(0, count).map((id, r) => (live[r] ? id : endedId));
  const ends = has(flag.ends);
  ids.forEach((id, r) => {
    if (live[r] && (ends[r] || stopWhen?.(r, id))) ends[r] = sequences[r] = 1;
  });
  return {
    ids,
    ends,
    fedBack: has(flag.fedBack),
    ...(floats.length > 0 && { logProbs: floats.slice(0, count), sampledLogProbs: floats.slice(count) }),
    ...(state.embeds && { feedback: state.embeds }),
  };
}
