/**
 * The words that threads share to hand out work: a `SharedArrayBuffer` of 32-bit words and one of f64 arguments.
 *
 * A job is one kernel called once per part. Parts are drawn from `next`; whoever draws the last one finds no more. Words that
 * different threads write often lie in cache lines of their own.
 */

/** Places of the words. */
export const WORD = {
  /** Counts jobs and messages; threads that have nothing to do wait for it to change. */
  generation: 0,
  /** The next part to be drawn; at least `CLOSED` while there is no job. */
  next: 16,
  /** Threads that may be looking at the job. */
  active: 32,
  /** Parts that are done. */
  finished: 48,
  /** Not 0 when a part has failed. */
  failed: 64,
  /** Messages that were posted to every thread. */
  messages: 80,
  /** Threads that have come to wait for work at least once. */
  ready: 81,
  /** The job: its kernel, its parts and the arguments of each. */
  kernel: 96,
  parts: 97,
  values: 98,
} as const;

/** No part is left to be drawn; far above any number of parts, far below overflow. */
export const CLOSED: number = 1 << 30;

/** Arguments of all parts of one job, at most. */
export const MOST_VALUES = 8192;

const WORDS = 128;

export interface Control {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly values: Float64Array<SharedArrayBuffer>;
}

export function createControl(): Control {
  const words = new Int32Array(new SharedArrayBuffer(4 * WORDS));
  words[WORD.next] = CLOSED;
  return { words, values: new Float64Array(new SharedArrayBuffer(8 * MOST_VALUES)) };
}
