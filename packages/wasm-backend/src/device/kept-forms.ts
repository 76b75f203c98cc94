/**
 * Forms of roots that are costly to make and read again in every run: packed weights.
 *
 * A form belongs to a root and is gone with its value: when the root is released or overwritten. Forms are made from the second
 * run on that asks for them, so that a value that is used once costs nothing, and the least recently used go first when all of
 * them together would take more than their share of the memory.
 */
import type { WasmBuffer } from './device-memory.js';
import { type Heap, WasmMemoryError } from './heap.js';

/** Room for a form. */
export interface KeptForm {
  readonly pointer: number;
  /** Nothing has been written there yet. */
  readonly fresh: boolean;
}

interface Entry {
  /** Undefined while it has only been asked for. */
  pointer: number | undefined;
  readonly byteLength: number;
  filled: boolean;
  /** The run that asked last. */
  run: number;
}

export class KeptForms {
  readonly #heap: Heap;
  readonly #budgetBytes: number;
  readonly #ofRoot = new Map<WasmBuffer, Map<string, Entry>>();
  #run = 0;
  #bytes = 0;

  constructor(heap: Heap, budgetBytes: number) {
    this.#heap = heap;
    this.#budgetBytes = budgetBytes;
  }

  /** Bytes of all forms. */
  get byteLength(): number {
    return this.#bytes;
  }

  /** Begins a run: what it asks for stays until the next. */
  beginRun(): void {
    this.#run += 1;
  }

  /** Room for a form of a root, or undefined where it is not worth it or there is none. */
  ask(root: WasmBuffer, key: string, byteLength: number): KeptForm | undefined {
    if (byteLength > this.#budgetBytes) return undefined;
    const forms = this.#ofRoot.get(root) ?? new Map<string, Entry>();
    this.#ofRoot.set(root, forms);
    const entry = forms.get(key);
    if (!entry) {
      forms.set(key, { pointer: undefined, byteLength, filled: false, run: this.#run });
      return undefined;
    }
    const isFirstRun = entry.pointer === undefined && entry.run === this.#run;
    entry.run = this.#run;
    if (isFirstRun) return undefined;
    entry.pointer ??= this.#place(byteLength);
    return entry.pointer === undefined ? undefined : { pointer: entry.pointer, fresh: !entry.filled };
  }

  /** Ends a run: the forms it asked for have been written, or, if it failed, may not have been. */
  endRun(succeeded: boolean): void {
    for (const forms of this.#ofRoot.values())
      for (const entry of forms.values())
        if (entry.run === this.#run && entry.pointer !== undefined) entry.filled ||= succeeded;
  }

  /** The value of a root is gone. */
  drop(root: WasmBuffer): void {
    const forms = this.#ofRoot.get(root);
    if (!forms) return;
    for (const entry of forms.values()) this.#release(entry);
    this.#ofRoot.delete(root);
  }

  #place(byteLength: number): number | undefined {
    while (this.#bytes + byteLength > this.#budgetBytes) {
      const oldest = this.#leastRecent();
      if (!oldest) return undefined;
      this.#release(oldest);
    }
    try {
      const pointer = this.#heap.allocate(byteLength);
      this.#bytes += byteLength;
      return pointer;
    } catch (error) {
      if (error instanceof WasmMemoryError) return undefined;
      throw error;
    }
  }

  /** Among those that this run has not asked for. */
  #leastRecent(): Entry | undefined {
    let oldest: Entry | undefined;
    for (const forms of this.#ofRoot.values())
      for (const entry of forms.values())
        if (entry.pointer !== undefined && entry.run < this.#run && (!oldest || entry.run < oldest.run)) oldest = entry;
    return oldest;
  }

  #release(entry: Entry): void {
    if (entry.pointer === undefined) return;
    this.#heap.free(entry.pointer, entry.byteLength);
    this.#bytes -= entry.byteLength;
    entry.pointer = undefined;
    entry.filled = false;
  }
}
