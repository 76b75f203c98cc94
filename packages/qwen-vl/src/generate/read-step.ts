/** A step's results, read from the device: for each sequence its token and whether it ended. */
import type { Device } from '@mindseye/tensor-core';
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

/** The step, with the sequences that end by it marked as ended. */
export async function readStep(
  { record, logProbs, state }: StepResult,
  { sequences, stopWhen }: Ended,
  device: Device,
): Promise<DecodedStep> {
  const count = sequences.length;
  const data = (await record.data(device)) as Int32Array;
  const probabilities = logProbs && ((await logProbs.data(device)) as Float32Array);
  // Before anything is marked: who takes part in this step.
  const live = Array.from(sequences, (ended, r) => !ended && (data[count + r]! & flag.active) !== 0);
  const has = (bit: number): Uint8Array => Uint8Array.from(live, (is, r) => Number(is && (data[count + r]! & bit) !== 0));
  const ofLive = (values: Float32Array): Float32Array => values.map((value, r) => (live[r] ? value : Number.NaN));
  const ids = data.slice(0, count).map((id, r) => (live[r] ? id : endedId));
  const ends = has(flag.ends);
  ids.forEach((id, r) => {
    if (live[r] && (ends[r] || stopWhen?.(r, id))) ends[r] = sequences[r] = 1;
  });
  return {
    ids,
    ends,
    fedBack: has(flag.fedBack),
    ...(probabilities && {
      logProbs: ofLive(probabilities.slice(0, count)),
      sampledLogProbs: ofLive(probabilities.slice(count)),
    }),
    ...(state.embeds && { feedback: state.embeds }),
  };
}
