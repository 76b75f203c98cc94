/**
 * The bytes of a device: roots with ranges of their own, and one working range that all plans share in turn.
 *
 * The working range is as large as the largest plan lowered so far needs. Every byte is reserved before a run or released
 * after one; no step of a run allocates.
 */
import type { DeviceBuffer, MemoryReport } from '@mindseye/tensor-core';
import { Heap } from './heap.js';
import { ReusedRange } from './reused-range.js';

/** A root: a range of the heap. */
export class WasmBuffer implements DeviceBuffer {
  readonly pointer: number;
  readonly byteLength: number;
  constructor(pointer: number, byteLength: number) {
    this.pointer = pointer;
    this.byteLength = byteLength;
  }
}

export class DeviceMemory {
  readonly #heap: Heap;
  readonly #working: ReusedRange;
  #rootBytes = 0;
  #peakBytes = 0;

  constructor(memory: WebAssembly.Memory) {
    this.#heap = new Heap(memory);
    this.#working = new ReusedRange(this.#heap);
  }

  /** @throws WasmMemoryError when no room is left. */
  allocate(byteLength: number): WasmBuffer {
    const buffer = new WasmBuffer(this.#heap.allocate(byteLength), byteLength);
    this.#rootBytes += byteLength;
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

  release({ pointer, byteLength }: WasmBuffer): void {
    this.#heap.free(pointer, byteLength);
    this.#rootBytes -= byteLength;
  }

  /** The address of at least `byteLength` working bytes, until a larger range is asked for. */
  reserve(byteLength: number): number {
    const pointer = this.#working.reserve(byteLength);
    this.#notePeak();
    return pointer;
  }

  report(): MemoryReport {
    return { rootBytes: this.#rootBytes, arenaBytes: this.#working.byteLength, peakBytes: this.#peakBytes };
  }

  #notePeak(): void {
    this.#peakBytes = Math.max(this.#peakBytes, this.#rootBytes + this.#working.byteLength);
  }
}
