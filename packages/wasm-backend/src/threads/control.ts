/**
 * The words that threads share to hand out work: a `SharedArrayBuffer` of 32-bit words, one of f64 arguments, one of text.
 *
 * A job is one kernel called once per part. Parts are drawn from `left`, which counts down: whoever draws a number above 0 has
 * a part, and the words of the job do not change before that part is done; whoever draws another has nothing and may look at
 * no other word of the job. So a thread that comes late, even to a job long over, needs no guard. All words are read and
 * written by `Atomics`, whose one order that argument rests on. Words that different threads write often lie in cache lines of
 * their own.
 */

/** Places of the words. */
export const WORD = {
  /** Counts jobs and messages; threads that have nothing to do wait for it to change. */
  generation: 0,
  /** Parts that nobody has drawn; 0 and below when there are none. */
  left: 16,
  /** Parts that are done, and `RETURNED` for each that was given back. */
  progress: 32,
  /** Not 0 when a part has failed on a thread; the first of them leaves its reason. */
  failed: 48,
  /** Messages that every thread gets. Counted before they are posted, so no thread has received more. */
  messages: 64,
  /** Threads that have come to wait for work at least once. */
  ready: 65,
  /** The job: its kernel, its parts and the arguments of each. */
  kernel: 80,
  parts: 81,
  values: 82,
  /** One word for each thread: 1 + the part that it gives back, 0 when there is none. */
  returned: 96,
} as const;

/** What a part given back adds to `progress`; more than there are parts. */
export const RETURNED: number = 1 << 16;

/** Arguments of all parts of one job, at most; and parts. */
export const MOST_VALUES = 8192;

/** Characters of the reason of a failure, at most. */
const REASON_LENGTH = 256;

export interface Control {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly values: Float64Array<SharedArrayBuffer>;
  /** UTF-16 codes up to the first 0. */
  readonly reason: Uint16Array<SharedArrayBuffer>;
}

/** @param helpers threads beside the calling one. */
export function createControl(helpers: number): Control {
  return {
    words: new Int32Array(new SharedArrayBuffer(4 * (WORD.returned + helpers))),
    values: new Float64Array(new SharedArrayBuffer(8 * MOST_VALUES)),
    reason: new Uint16Array(new SharedArrayBuffer(2 * REASON_LENGTH)),
  };
}

/** The text of a reason. */
export function readReason({ reason }: Control): string {
  const end = reason.indexOf(0);
  return String.fromCharCode(...reason.subarray(0, end < 0 ? undefined : end));
}
