/**
 * Byte ranges inside one growable WebAssembly memory.
 *
 * First fit over a list of free ranges sorted by address; neighbours join when freed. Addresses and sizes are multiples of
 * 64 bytes, a cache line. Memory grows by what is missing and never shrinks; 4 GiB is the ceiling of 32-bit addresses.
 */
export const heapAlignment = 64;
const pageBytes = 65_536;

interface Range {
  readonly start: number;
  readonly size: number;
}

/** No room is left in a 32-bit memory. */
export class WasmMemoryError extends Error {
  override readonly name = 'WasmMemoryError';
}

export class Heap {
  readonly memory: WebAssembly.Memory;
  #free: Range[] = [];
  #usedBytes = 0;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    // Address 0 is left alone, so that no value looks like a null pointer.
    const size = memory.buffer.byteLength - heapAlignment;
    if (size > 0) this.#free.push({ start: heapAlignment, size });
  }

  /** Bytes handed out and not given back. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The address of `byteLength` fresh bytes; their contents are whatever was there. */
  allocate(byteLength: number): number {
    const size = aligned(byteLength);
    let place = this.#free.findIndex((range) => range.size >= size);
    if (place < 0) {
      this.#grow(size);
      place = this.#free.length - 1;
    }
    const { start, size: available } = this.#free[place]!;
    if (available === size) this.#free.splice(place, 1);
    else this.#free[place] = { start: start + size, size: available - size };
    this.#usedBytes += size;
    return start;
  }

  /** Gives back what `allocate(byteLength)` returned. */
  free(start: number, byteLength: number): void {
    const size = aligned(byteLength);
    this.#usedBytes -= size;
    let after = this.#free.findIndex((range) => range.start > start);
    if (after < 0) after = this.#free.length;
    const next = this.#free[after];
    const joinsNext = next !== undefined && start + size === next.start;
    this.#free.splice(after, joinsNext ? 1 : 0, { start, size: size + (joinsNext ? next.size : 0) });
    const before = this.#free[after - 1];
    if (before && before.start + before.size === start) {
      this.#free.splice(after - 1, 2, { start: before.start, size: before.size + this.#free[after]!.size });
    }
  }

  #grow(size: number): void {
    const end = this.memory.buffer.byteLength;
    const last = this.#free.at(-1);
    const touching = last && last.start + last.size === end ? last.size : 0;
    const pages = Math.ceil((size - touching) / pageBytes);
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw new WasmMemoryError(
        `the WebAssembly memory holds ${end} bytes and cannot grow by ${pages * pageBytes}: use a smaller batch or model, or the reference device`,
        { cause },
      );
    }
    if (touching > 0) this.#free.pop();
    this.#free.push({ start: end - touching, size: touching + pages * pageBytes });
  }
}

/** Even an empty value gets an address of its own. */
const aligned = (bytes: number): number => Math.max(1, Math.ceil(bytes / heapAlignment)) * heapAlignment;
