/**
 * Kernels on several threads.
 *
 * A kernel is divided by its caller into parts that write disjoint elements and compute each as it would be computed alone, so
 * that results have the same bits for any number of threads. Threads start with the first job and sleep between jobs; where
 * none can be had, and while they start, parts run here one after the other.
 */
import { Crew, type CrewOptions, type PartValues } from './crew.js';
import { canShareMemory, processors } from './environment.js';
import type { InstallMessage } from './worker-source.js';

/** More threads than this are not used unless they are asked for: memory is shared, and its bandwidth with it. */
const MOST_THREADS = 16;
/** A crew that has lost a thread is replaced this often. */
const MOST_CREWS = 4;
const STALL_MILLISECONDS = 60_000;

type Kernel = (...values: number[]) => unknown;

/** Ends the threads of a device that nobody holds any more. */
const unheld = new FinalizationRegistry<Crew>((crew) => crew.end());

export interface ThreadOptions extends Partial<Omit<CrewOptions, 'helpers'>> {
  /** Divide work however little it is, and wait for the threads to start: for tests. */
  readonly eager?: boolean;
}

export class Threads {
  /** Threads that work on a job, the calling one among them. */
  readonly count: number;
  readonly #options: ThreadOptions;
  readonly #installed: InstallMessage[] = [];
  readonly #numbers = new Map<Kernel, number>();
  #crew: Crew | undefined;
  #crews = 0;

  /** @param count threads in all; default: one per processor, 1 where memory cannot be shared. */
  constructor(count?: number, options: ThreadOptions = {}) {
    if (count !== undefined && !(Number.isInteger(count) && count >= 1))
      throw new RangeError(`threads is ${count}; give an integer of at least 1`);
    this.count = canShareMemory() ? (count ?? Math.min(processors(), MOST_THREADS)) : 1;
    this.#options = options;
  }

  /** Whether all work is divided, however little it is. */
  get eager(): boolean {
    return this.#options.eager ?? false;
  }

  /** Makes the exported functions of an instance known to all threads. */
  install(message: InstallMessage, exports: WebAssembly.Exports): void {
    if (this.count === 1) return;
    this.#installed.push(message);
    for (const { name, kind } of WebAssembly.Module.exports(message.module))
      if (kind === 'function') this.#numbers.set(exports[name] as Kernel, this.#numbers.size);
    this.#crew?.install(message);
  }

  /**
   * Calls a kernel once per part, in any order, on any thread.
   *
   * @throws WasmThreadError when a thread fails; the next job has new ones.
   */
  run(kernel: Kernel, parts: number, valuesOf: PartValues): void {
    const number = this.#numbers.get(kernel);
    const crew = number === undefined || parts === 1 ? undefined : this.#readyCrew();
    if (!crew) {
      for (let part = 0; part < parts; part += 1) kernel(...valuesOf(part));
      return;
    }
    try {
      crew.run(number!, kernel, parts, valuesOf);
    } catch (error) {
      this.#dismiss();
      throw error;
    }
  }

  /** Whether parts would run side by side now. Starts the threads. */
  get ready(): boolean {
    return this.count > 1 && this.#readyCrew() !== undefined;
  }

  /** Ends the threads; the next job starts new ones. */
  end(): void {
    this.#dismiss();
    this.#crews = 0;
  }

  #readyCrew(): Crew | undefined {
    if (this.#crew?.lost !== undefined) this.#dismiss();
    if (!this.#crew && this.#crews < MOST_CREWS) {
      this.#crews += 1;
      this.#crew = new Crew({ stallMilliseconds: STALL_MILLISECONDS, ...this.#options, helpers: this.count - 1 });
      unheld.register(this, this.#crew, this);
      for (const message of this.#installed) this.#crew.install(message);
    }
    if (this.eager) this.#crew?.awaitReady(this.count - 1);
    return this.#crew && this.#crew.ready > 0 ? this.#crew : undefined;
  }

  #dismiss(): void {
    this.#crew?.end();
    this.#crew = undefined;
    unheld.unregister(this);
  }
}
