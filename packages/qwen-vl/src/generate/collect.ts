/** Sequences from the steps of a decoder. */
import type { DecodedStep } from './request.js';

export interface GeneratedSequence {
  /** Without the stop id that ended it. */
  readonly ids: readonly number[];
  /** Whether it ended by itself, and not for want of tokens. */
  readonly finished: boolean;
  /** Places in `ids` that stand for hidden states fed back. */
  readonly fedBack: readonly number[];
  /** One per id, and one for the stop id if there was one: see `DecodedStep`. Empty unless asked for. */
  readonly logProbs: readonly number[];
  readonly sampledLogProbs: readonly number[];
}

type Growing = {
  -readonly [K in keyof GeneratedSequence]: GeneratedSequence[K] extends readonly number[] ? number[] : boolean;
};

/** @param count R */
export async function collectSequences(
  steps: AsyncIterable<DecodedStep>,
  count: number,
  stopIds: readonly number[],
): Promise<readonly GeneratedSequence[]> {
  const stops = new Set(stopIds);
  const sequences = Array.from({ length: count }, (): Growing => ({
    ids: [],
    finished: false,
    fedBack: [],
    logProbs: [],
    sampledLogProbs: [],
  }));
  for await (const step of steps) {
    sequences.forEach((sequence, r) => {
      if (sequence.finished) return;
      sequence.finished = step.ends[r] === 1;
      if (step.logProbs) sequence.logProbs.push(step.logProbs[r]!);
      if (step.sampledLogProbs) sequence.sampledLogProbs.push(step.sampledLogProbs[r]!);
      if (sequence.finished && stops.has(step.ids[r]!)) return;
      if (step.fedBack[r]) sequence.fedBack.push(sequence.ids.length);
      sequence.ids.push(step.ids[r]!);
    });
  }
  return sequences;
}
