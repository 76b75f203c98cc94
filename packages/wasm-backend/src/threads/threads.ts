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
/** A crew that has lost a thread is replaced until there have been this many; from then on there is one thread. */
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
  readonly #count: number;
  readonly #options: ThreadOptions;
  readonly #installed: InstallMessage[] = [];
  readonly #numbers = new Map<Kernel, number>();
  #kernels = 0;
  #crew: Crew | undefined;
  /** Since the last `end`. */
  #crews = 0;
  #started = 0;
  #lost: string | undefined;

  /** @param count threads in all; default: one per processor, 1 where memory cannot be shared. */
  constructor(count?: number, options: ThreadOptions = {}) {
    if (count !== undefined && !(Number.isInteger(count) && count >= 1))
      throw new RangeError(`threads is ${count}; give an integer of at least 1`);
    this.#count = canShareMemory() ? (count ?? Math.min(processors(), MOST_THREADS)) : 1;
    this.#options = options;
  }

  /** Threads that work on a job, the calling one among them; 1 once it is known that no others can be had. */
  get count(): number {
    return this.#crew || this.#crews < MOST_CREWS ? this.#count : 1;
  }

  /** Whether all work is divided, however little it is. */
  get eager(): boolean {
    return this.#options.eager ?? false;
  }

  /** Why threads were lost last, once some were. */
  get lost(): string | undefined {
    return this.#crew?.lost ?? this.#lost;
  }

  /** Threads that are running beside the calling one. */
  get running(): number {
    return this.#crew?.ready ?? 0;
  }

  /** How often threads were started: more than once only where some were lost. */
  get started(): number {
    return this.#started;
  }

  /** Makes the exported functions of an instance known to all threads. */
  install(message: InstallMessage, exports: WebAssembly.Exports): void {
    if (this.#count === 1) return;
    this.#installed.push(message);
    for (const { name, kind } of WebAssembly.Module.exports(message.module)) {
      if (kind !== 'function') continue;
      this.#numbers.set(exports[name] as Kernel, this.#kernels);
      this.#kernels += 1;
    }
    this.#crew?.install(message);
  }

  /**
   * Calls a kernel once per part, in any order, on any thread.
   *
   * @throws what the kernel throws on the calling thread. @throws WasmThreadError when a thread fails. The next job is done as
   * ever: threads that were lost are replaced.
   */
  run(kernel: Kernel, parts: number, valuesOf: PartValues): void {
    const number = this.#numbers.get(kernel);
    const crew = number === undefined || parts <= 1 ? undefined : this.#readyCrew();
    if (!crew) {
      for (let part = 0; part < parts; part += 1) kernel(...valuesOf(part));
      return;
    }
    try {
      crew.run(number!, kernel, parts, valuesOf);
    } finally {
      // What does not answer is ended at once.
      if (crew.lost !== undefined) this.#dismiss();
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
    if (!this.#crew && this.#crews < MOST_CREWS) this.#crew = this.#start();
    if (this.eager) this.#crew?.awaitReady(this.#count - 1);
    return this.#crew && this.#crew.ready > 0 ? this.#crew : undefined;
  }

  #start(): Crew {
    this.#crews += 1;
    this.#started += 1;
    const crew = new Crew({ stallMilliseconds: STALL_MILLISECONDS, ...this.#options, helpers: this.#count - 1 });
    unheld.register(this, crew, this);
    for (const message of this.#installed) crew.install(message);
    return crew;
  }

  #dismiss(): void {
    this.#lost = this.#crew?.lost;
    this.#crew?.end();
    this.#crew = undefined;
    unheld.unregister(this);
  }
}
