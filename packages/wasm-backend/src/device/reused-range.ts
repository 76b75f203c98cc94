/** One range of the heap that is replaced by a larger one when asked for more. */
import type { Heap } from './heap.js';

/** A range for what only lasts one step or one run: the arena and the scratch of a device. */
export class ReusedRange {
  readonly #heap: Heap;
  pointer = 0;
  byteLength = 0;

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  /** The address of at least `byteLength` bytes; earlier contents are lost when the range grows. */
  reserve(byteLength: number): number {
    if (byteLength > this.byteLength) {
      if (this.byteLength > 0) this.#heap.free(this.pointer, this.byteLength);
      // If no larger range is to be had, this one is gone all the same, and must not be used again.
      this.byteLength = 0;
      this.pointer = this.#heap.allocate(byteLength);
      this.byteLength = byteLength;
    }
    return this.pointer;
  }
}
