/**
 * The threads of one device and the jobs they are given.
 *
 * The calling thread opens a job, draws parts like all others, and waits until the last is done; so a thread that is still
 * starting, or gone, is never waited for unless it has drawn a part. Which thread computes a part has no influence on what is
 * computed. A part that fails is done: when `run` throws, no thread is at work any more, unless one was taken for dead.
 */
import { type Control, MOST_VALUES, RETURNED, WORD, createControl, readReason } from './control.js';
import { type Thread, canBlock, startThread, startsWhileBlocked } from './environment.js';
import { type InstallMessage, type StartMessage, threadSource } from './worker-source.js';

/** A thread failed in the middle of its work; what it was writing is undefined. */
export class WasmThreadError extends Error {
  override readonly name = 'WasmThreadError';
}

/** One call of a job. */
export type PartValues = (part: number) => readonly number[];
type Kernel = (...values: number[]) => unknown;

export interface CrewOptions {
  /** Threads beside the calling one. */
  readonly helpers: number;
  /** How long no part may end before a thread is taken for dead. */
  readonly stallMilliseconds: number;
  /** The script of the threads; for tests. */
  readonly source?: string;
}

/** How long the calling thread looks for the end of a job before it sleeps, where it may sleep. */
const SPIN_MILLISECONDS = 0.1;
const SLEEP_MILLISECONDS = 20;
/** Longest time between two looks that counts as waiting; in a longer one the whole process was suspended. */
const LONGEST_LOOK = 10 * SLEEP_MILLISECONDS;

export class Crew {
  readonly #control: Control;
  readonly #threads: Thread[] = [];
  readonly #stallMilliseconds: number;
  readonly #mayBlock = canBlock();
  #lost: string | undefined;

  constructor({ helpers, stallMilliseconds, source = threadSource }: CrewOptions) {
    this.#control = createControl(helpers);
    this.#stallMilliseconds = stallMilliseconds;
    for (let i = 0; i < helpers; i += 1) {
      const thread = startThread(source, { ended: (reason) => (this.#lost ??= reason) });
      if (thread) this.#threads.push(thread);
    }
    if (this.#threads.length === 0) this.#lost ??= 'this host has no threads';
    this.#post((slot): StartMessage => ({ ...this.#control, slot }));
  }

  /** Why a thread has ended, once one has. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Threads that have come to wait for work. */
  get ready(): number {
    return Atomics.load(this.#control.words, WORD.ready);
  }

  /** Waits until `count` threads have come to wait for work, or one has ended; not where waiting would keep them from it. */
  awaitReady(count: number): void {
    const { words } = this.#control;
    const deadline = performance.now() + this.#stallMilliseconds;
    if (!this.#mayBlock || !startsWhileBlocked()) return;
    while (this.#lost === undefined && performance.now() < deadline) {
      const { ready } = this;
      if (ready >= count) return;
      Atomics.wait(words, WORD.ready, ready, SLEEP_MILLISECONDS);
    }
  }

  /** Gives every thread the kernels of a module, after those it has. */
  install(message: InstallMessage): void {
    this.#post(() => message);
  }

  end(): void {
    for (const thread of this.#threads) thread.end();
  }

  /**
   * Calls a kernel once per part.
   *
   * @param number of the kernel among all that are installed. @param run the same kernel on this thread.
   * @throws what the kernel throws here. @throws WasmThreadError when a part has failed on a thread. @throws WasmThreadError
   * when no part ends any more: the crew is lost then, and of no use.
   */
  run(number: number, run: Kernel, parts: number, valuesOf: PartValues): void {
    const { words } = this.#control;
    const calls = this.#open(number, parts, valuesOf);
    const errors: unknown[] = [];
    const call = (part: number): void => {
      try {
        run(...calls[part]!);
      } catch (error) {
        errors.push(error);
      }
    };
    let done = 0;
    for (;;) {
      const left = Atomics.sub(words, WORD.left, 1);
      if (left <= 0) break;
      call(parts - left);
      done += 1;
    }
    Atomics.add(words, WORD.progress, done);
    this.#awaitParts(parts, call);
    if (errors.length > 0) throw errors[0];
    if (Atomics.load(words, WORD.failed) !== 0)
      throw new WasmThreadError(
        `a kernel failed on a thread: ${readReason(this.#control)}; this is a defect: use { threads: 1 } and report it`,
      );
  }

  /** Writes a job down and wakes as many threads as it may need. */
  #open(number: number, parts: number, valuesOf: PartValues): readonly (readonly number[])[] {
    const { words, values } = this.#control;
    const calls = Array.from({ length: parts }, (_, part) => valuesOf(part));
    const count = calls[0]?.length ?? 0;
    if (parts * Math.max(count, 1) > MOST_VALUES)
      throw new RangeError(`a job of ${parts} parts with ${count} arguments each; at most ${MOST_VALUES} in all`);
    calls.forEach((call, part) => values.set(call, part * count));
    Atomics.store(words, WORD.kernel, number);
    Atomics.store(words, WORD.parts, parts);
    Atomics.store(words, WORD.values, count);
    Atomics.store(words, WORD.progress, 0);
    Atomics.store(words, WORD.failed, 0);
    Atomics.store(words, WORD.left, parts);
    Atomics.add(words, WORD.generation, 1);
    Atomics.notify(words, WORD.generation, parts - 1);
    return calls;
  }

  /** Returns once every part is done; those that threads give back are done here. */
  #awaitParts(parts: number, call: (part: number) => void): void {
    const { words } = this.#control;
    let last = performance.now();
    const spinUntil = last + SPIN_MILLISECONDS;
    let [seen, idle, taken] = [-1, 0, 0];
    for (;;) {
      const progress = Atomics.load(words, WORD.progress);
      if (progress % RETURNED === parts) return;
      const now = performance.now();
      idle = progress === seen ? idle + Math.min(now - last, LONGEST_LOOK) : 0;
      [seen, last] = [progress, now];
      if (taken < Math.floor(progress / RETURNED)) taken += this.#takeReturned(call);
      else if (idle > this.#stallMilliseconds) throw this.#stalled();
      else if (this.#mayBlock && now > spinUntil) Atomics.wait(words, WORD.progress, progress, SLEEP_MILLISECONDS);
    }
  }

  /** Does the parts that threads have given back. @returns how many. */
  #takeReturned(call: (part: number) => void): number {
    const { words } = this.#control;
    let count = 0;
    for (let slot = 0; slot < this.#threads.length; slot += 1) {
      const part = Atomics.exchange(words, WORD.returned + slot, 0) - 1;
      if (part < 0) continue;
      call(part);
      count += 1;
    }
    Atomics.add(words, WORD.progress, count);
    return count;
  }

  #stalled(): WasmThreadError {
    this.#lost ??= 'it does not answer';
    return new WasmThreadError(
      `a thread has not finished its part of a kernel for ${this.#stallMilliseconds} ms and is taken for dead: inputs keep their values, but donated ones may be partly overwritten`,
    );
  }

  /** Sends each thread a message. The count goes first: a thread that receives one must find itself expected. */
  #post(messageFor: (slot: number) => unknown): void {
    const { words } = this.#control;
    Atomics.add(words, WORD.messages, 1);
    this.#threads.forEach((thread, slot) => thread.post(messageFor(slot)));
    Atomics.add(words, WORD.generation, 1);
    Atomics.notify(words, WORD.generation);
  }
}
