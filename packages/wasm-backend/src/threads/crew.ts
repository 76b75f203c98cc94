/**
 * The threads of one device and the jobs they are given.
 *
 * The calling thread opens a job, draws parts like all others, and waits until the last is done; so a thread that is still
 * starting, or gone, is never waited for unless it has drawn a part. Which thread computes a part has no influence on what is
 * computed.
 */
import { CLOSED, type Control, MOST_VALUES, WORD, createControl } from './control.js';
import { type Thread, canBlock, startThread } from './environment.js';
import { type InstallMessage, threadSource } from './worker-source.js';

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

export class Crew {
  readonly #control: Control = createControl();
  readonly #threads: Thread[] = [];
  readonly #stallMilliseconds: number;
  readonly #mayBlock = canBlock();
  #lost: string | undefined;

  constructor({ helpers, stallMilliseconds, source = threadSource }: CrewOptions) {
    this.#stallMilliseconds = stallMilliseconds;
    for (let i = 0; i < helpers; i += 1) {
      const thread = startThread(source, { ended: (reason) => (this.#lost ??= reason) });
      if (thread) this.#threads.push(thread);
    }
    const { words, values } = this.#control;
    this.#post({ words, values });
  }

  /** Why a thread has ended, once one has. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Threads that have come to wait for work. */
  get ready(): number {
    return Atomics.load(this.#control.words, WORD.ready);
  }

  /** Blocks until `count` threads have come to wait for work, or one has ended. Only where this thread may block. */
  awaitReady(count: number): void {
    const { words } = this.#control;
    const deadline = performance.now() + this.#stallMilliseconds;
    while (this.ready < count && this.#lost === undefined && performance.now() < deadline)
      Atomics.wait(words, WORD.ready, this.ready, SLEEP_MILLISECONDS);
  }

  /** Gives every thread the kernels of a module, after those it has. */
  install(message: InstallMessage): void {
    this.#post(message);
  }

  end(): void {
    for (const thread of this.#threads) thread.end();
  }

  /**
   * Calls a kernel once per part.
   *
   * @param number of the kernel among all that are installed. @param run the same kernel on this thread.
   * @throws WasmThreadError when a part has failed on a thread, or no part ends any more. The crew is of no use afterwards.
   */
  run(number: number, run: Kernel, parts: number, valuesOf: PartValues): void {
    const { words, values } = this.#control;
    const calls: (readonly number[])[] = [];
    let count = 0;
    for (let part = 0; part < parts; part += 1) {
      const call = valuesOf(part);
      count = call.length;
      if (parts * count > MOST_VALUES)
        throw new RangeError(`a job of ${parts} parts with ${count} arguments each; at most ${MOST_VALUES} in all`);
      values.set(call, part * count);
      calls.push(call);
    }
    words[WORD.kernel] = number;
    words[WORD.parts] = parts;
    words[WORD.values] = count;
    words[WORD.finished] = 0;
    // A thread that looks at the words before they changed has left, and those that come see the new ones.
    while (Atomics.load(words, WORD.active) > 0);
    Atomics.store(words, WORD.next, 0);
    Atomics.add(words, WORD.generation, 1);
    Atomics.notify(words, WORD.generation);
    let done = 0;
    try {
      for (;;) {
        const part = Atomics.add(words, WORD.next, 1);
        if (part >= parts) break;
        run(...calls[part]!);
        done += 1;
      }
    } finally {
      Atomics.store(words, WORD.next, CLOSED);
      Atomics.add(words, WORD.finished, done);
    }
    this.#awaitParts(parts);
    if (Atomics.load(words, WORD.failed) !== 0)
      throw new WasmThreadError('a kernel failed on a thread: this is a defect; use { threads: 1 } and report it');
  }

  #awaitParts(parts: number): void {
    const { words } = this.#control;
    let finished = Atomics.load(words, WORD.finished);
    let lastChange = performance.now();
    const spinUntil = lastChange + SPIN_MILLISECONDS;
    while (finished < parts) {
      const now = performance.now();
      if (this.#mayBlock && now > spinUntil) Atomics.wait(words, WORD.finished, finished, SLEEP_MILLISECONDS);
      const current = Atomics.load(words, WORD.finished);
      if (current !== finished) [finished, lastChange] = [current, now];
      else if (now - lastChange > this.#stallMilliseconds) {
        this.#lost ??= 'it does not answer';
        throw new WasmThreadError(
          `a thread has not finished its part of a kernel for ${this.#stallMilliseconds} ms and is taken for dead: run again`,
        );
      }
    }
  }

  #post(message: unknown): void {
    const { words } = this.#control;
    for (const thread of this.#threads) thread.post(message);
    Atomics.add(words, WORD.messages, 1);
    Atomics.add(words, WORD.generation, 1);
    Atomics.notify(words, WORD.generation);
  }
}
