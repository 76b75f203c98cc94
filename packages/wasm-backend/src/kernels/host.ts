/**
 * The two sides of a kernel family. A family *emits* its functions into a module of its own (`KernelContext`) and later *binds*
 * them to typed methods on a memory (`KernelHost`). Arguments are byte offsets and element counts; every range is checked
 * against the memory before a kernel runs, so a wrong offset is a `RangeError` that names it, never a silent overwrite of
 * what lies behind the memory's end.
 */
import type { ModuleBuilder } from '../emit/index.js';
import type { Threads } from '../threads/threads.js';
import type { Arithmetic, Tier } from './tier.js';

/** Where and how a family writes its code. */
export interface KernelContext {
  readonly module: ModuleBuilder;
  readonly tier: Tier;
  readonly arithmetic: Arithmetic;
}

/** Bytes of an f32. */
export const F32_BYTES = 4;

/** An exported kernel; those without a result return undefined, which callers ignore. */
export type ExportedKernel = (...values: number[]) => number;

/** How work of `count` units may be divided over threads. */
export interface Division {
  readonly count: number;
  /** Units that are worth a part of their own: some 20 microseconds of work. */
  readonly grain: number;
  /** Parts begin at multiples of this many units; 1 when left out. */
  readonly multiple?: number;
}

/** `divide` makes at most so many parts: more than threads, so that a thread that is slow or late gets fewer. */
export const PARTS_PER_THREAD = 4;

/** An instantiated kernel module and its memory. */
export class KernelHost {
  readonly memory: WebAssembly.Memory;
  readonly tier: Tier;
  readonly #exports: WebAssembly.Exports;
  readonly #threads: Threads | undefined;

  constructor(memory: WebAssembly.Memory, exports: WebAssembly.Exports, tier: Tier, threads?: Threads) {
    this.memory = memory;
    this.tier = tier;
    this.#exports = exports;
    this.#threads = threads;
  }

  /** Threads that parts can run on side by side. */
  get threads(): number {
    return this.#threads?.count ?? 1;
  }

  /**
   * Calls a kernel once per part, in any order, on any thread. Parts must write disjoint memory and read none that another
   * writes; every element must be computed as it is without parts.
   */
  forEachPart(kernel: ExportedKernel, parts: number, valuesOf: (part: number) => readonly number[]): void {
    if (this.#threads) this.#threads.run(kernel, parts, valuesOf);
    else for (let part = 0; part < parts; part += 1) kernel(...valuesOf(part));
  }

  /**
   * Calls a kernel for runs of units that follow each other and make up all of them: once, where there is little work or
   * one thread. What `forEachPart` asks of parts holds for runs.
   */
  divide(
    kernel: ExportedKernel,
    { count, grain, multiple = 1 }: Division,
    valuesOf: (from: number, size: number) => readonly number[],
  ): void {
    const least = this.#threads?.eager ? multiple : grain;
    const parts = Math.min(Math.ceil(count / least), PARTS_PER_THREAD * this.threads);
    if (this.threads === 1 || parts <= 1 || !this.#threads!.ready) {
      kernel(...valuesOf(0, count));
      return;
    }
    const size = Math.ceil(count / parts / multiple) * multiple;
    this.forEachPart(kernel, Math.ceil(count / size), (part) =>
      valuesOf(part * size, Math.min(size, count - part * size)),
    );
  }

  /** An exported kernel by name. */
  kernel(name: string): ExportedKernel {
    const exported = this.#exports[name];
    if (typeof exported !== 'function') throw new Error(`wasm-backend: the kernel module has no function "${name}"`);
    return exported as ExportedKernel;
  }

  /**
   * Checks that `count` elements of `elementBytes` at byte offset `pointer` lie inside the memory.
   * @param what names the operand, such as `matmul a`.
   */
  checkRange(what: string, pointer: number, count: number, elementBytes: number = F32_BYTES): void {
    const limit = this.memory.buffer.byteLength;
    const end = pointer + count * elementBytes;
    // One comparison chain that NaN fails too; the slow path below finds out which part was wrong.
    if (pointer >= 0 && count >= 0 && end <= limit && Number.isInteger(pointer) && Number.isInteger(count)) return;
    if (!Number.isInteger(count) || count < 0) {
      throw new RangeError(`${what}: ${count} elements; a size must be an integer of at least 0`);
    }
    throw new RangeError(
      `${what}: bytes ${pointer} to ${end} are outside the memory of ${limit} bytes; grow the memory or correct the offset`,
    );
  }

  /**
   * Checks that a size is an integer of at least 0.
   * @param what names the size, such as `matmul m`.
   */
  checkSize(what: string, size: number): void {
    if (!Number.isInteger(size) || size < 0) {
      throw new RangeError(`${what} is ${size}; a size must be an integer of at least 0`);
    }
  }

  /** Checks that contiguous f32 [rows, columns] matrices lie inside the memory. `kernel` names the caller. */
  checkMatrix(kernel: string, operands: Readonly<Record<string, number>>, rows: number, columns: number): void {
    this.checkSize(`${kernel} rows`, rows);
    this.checkSize(`${kernel} columns`, columns);
    for (const [name, pointer] of Object.entries(operands))
      this.checkRange(`${kernel} ${name}`, pointer, rows * columns);
  }
}
