/**
 * The bytes of a device: roots with ranges of their own, and one working range that all plans share in turn.
 *
 * The working range is as large as the largest run so far needed. Every byte is reserved before a run or released after one; no
 * step of a run allocates. Small roots and the working range lie in the main memory; large roots lie there up to half of it, and
 * then in banks, where there can be any.
 */
import type { DeviceBuffer, HostArray, MemoryReport, TensorSpec } from '@mindseye/tensor-core';
import type { Engine } from '../kernels/engine.js';
import { Banks, isBanked, supportsBanks } from './banks.js';
import { Heap, WasmMemoryError } from './heap.js';
import { KeptForms } from './kept-forms.js';
import { ReusedRange } from './reused-range.js';

/** A root: a range of a memory. */
export class WasmBuffer implements DeviceBuffer {
  /** Its address, see `Banks`. */
  readonly pointer: number;
  readonly byteLength: number;
  constructor(pointer: number, byteLength: number) {
    this.pointer = pointer;
    this.byteLength = byteLength;
  }
}

export interface DeviceMemoryOptions {
  /** Most bytes of all memories; the main memory's own limit where there are no banks. */
  readonly maximumBytes: number;
  /** Large roots lie in the main memory while its roots take no more than this. */
  readonly mainRootBytes?: number;
  /** Roots from this size on are large. */
  readonly largeRootBytes?: number;
  /** Most bytes of kept forms. */
  readonly keptBytes?: number;
}

/** Half of what 32-bit addresses reach: the other half is left to runs. */
const MAIN_ROOT_BYTES = 2 ** 31;
const LARGE_ROOT_BYTES = 2 ** 20;
const KEPT_BYTES = 2 ** 28;

export class DeviceMemory {
  readonly #heap: Heap;
  readonly #working: ReusedRange;
  readonly #banks: Banks;
  readonly #options: Required<Omit<DeviceMemoryOptions, 'maximumBytes'>>;
  readonly kept: KeptForms;
  #rootBytes = 0;
  #mainRootBytes = 0;
  #peakBytes = 0;

  constructor(engine: Engine, { maximumBytes, ...options }: DeviceMemoryOptions) {
    this.#heap = new Heap(engine.memory);
    this.#working = new ReusedRange(this.#heap);
    this.#banks = new Banks(engine, this.#heap, { maximumBytes: supportsBanks() ? maximumBytes : 0 });
    this.#options = {
      mainRootBytes: MAIN_ROOT_BYTES,
      largeRootBytes: LARGE_ROOT_BYTES,
      keptBytes: KEPT_BYTES,
      ...options,
    };
    this.kept = new KeptForms(this.#heap, this.#options.keptBytes);
  }

  /** @throws WasmMemoryError when no room is left. */
  allocate(byteLength: number): WasmBuffer {
    const buffer = new WasmBuffer(this.#place(byteLength), byteLength);
    this.#rootBytes += byteLength;
    if (!isBanked(buffer.pointer)) this.#mainRootBytes += byteLength;
    this.#notePeak();
    return buffer;
  }

  /** As many buffers as there are sizes, or none of them. */
  allocateAll(byteLengths: readonly number[]): WasmBuffer[] {
    const buffers: WasmBuffer[] = [];
    try {
      for (const byteLength of byteLengths) buffers.push(this.allocate(byteLength));
    } catch (error) {
      for (const buffer of buffers) this.release(buffer);
      throw error;
    }
    return buffers;
  }

  release(buffer: WasmBuffer): void {
    const { pointer, byteLength } = buffer;
    this.kept.drop(buffer);
    if (isBanked(pointer)) this.#banks.free(pointer, byteLength);
    else {
      this.#heap.free(pointer, byteLength);
      this.#mainRootBytes -= byteLength;
    }
    this.#rootBytes -= byteLength;
  }

  /** The address of at least `byteLength` working bytes, until a larger range is asked for. */
  reserve(byteLength: number): number {
    const pointer = this.#working.reserve(byteLength);
    this.#notePeak();
    return pointer;
  }

  /** The elements at an address, until a memory grows. */
  view(address: number, spec: TensorSpec): HostArray {
    return this.#banks.view(address, spec);
  }

  /** Copies bytes between a bank and the main memory. */
  transfer(into: number, from: number, byteLength: number): void {
    this.#banks.copy(into, from, byteLength);
  }

  report(): MemoryReport {
    this.#notePeak();
    return { rootBytes: this.#rootBytes, arenaBytes: this.#arenaBytes, peakBytes: this.#peakBytes };
  }

  #place(byteLength: number): number {
    const { largeRootBytes, mainRootBytes } = this.#options;
    const belongsInBank = byteLength >= largeRootBytes && this.#mainRootBytes + byteLength > mainRootBytes;
    if (belongsInBank && this.#banks.hasAny) {
      try {
        return this.#banks.allocate(byteLength);
      } catch (error) {
        // The main memory's other half is better than nothing.
        if (!(error instanceof WasmMemoryError)) throw error;
      }
    }
    return this.#heap.allocate(byteLength);
  }

  /** What lies beside the roots. */
  get #arenaBytes(): number {
    return this.#working.byteLength + this.kept.byteLength;
  }

  #notePeak(): void {
    this.#peakBytes = Math.max(this.#peakBytes, this.#rootBytes + this.#arenaBytes);
  }
}
