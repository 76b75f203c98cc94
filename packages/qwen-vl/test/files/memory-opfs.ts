/**
 * A page's file system in memory, with the rules that matter: what goes through a writable is in the file only once it is closed;
 * a file that is open in place can be opened once, and is read by nobody else.
 */
import type { OpfsAccess, OpfsDirectory, OpfsFile, OpfsWritable } from '../../src/files/hub/opfs-cache.js';

export interface MemoryRules {
  /** As in a worker. */
  readonly inPlace: boolean;
  /** Whether files can be renamed. */
  readonly move: boolean;
}

interface Entry {
  bytes: Uint8Array<ArrayBuffer>;
  isOpen: boolean;
}

const absent = (name: string): DOMException => new DOMException(`${name} is not there`, 'NotFoundError');

function patched(bytes: Uint8Array, at: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(Math.max(bytes.length, at + data.length));
  result.set(bytes);
  result.set(data, at);
  return result;
}

export class MemoryDirectory implements OpfsDirectory {
  readonly name: string;
  readonly files: Map<string, Entry> = new Map();
  readonly folders: Map<string, MemoryDirectory> = new Map();
  readonly #rules: MemoryRules;

  constructor(name: string, rules: MemoryRules) {
    this.name = name;
    this.#rules = rules;
  }

  async *values(): AsyncGenerator<{ readonly kind: 'file' | 'directory'; readonly name: string }> {
    for (const name of this.files.keys()) yield { kind: 'file', name };
    for (const name of this.folders.keys()) yield { kind: 'directory', name };
  }

  async getDirectoryHandle(name: string, options?: { readonly create: boolean }): Promise<MemoryDirectory> {
    const found = this.folders.get(name);
    if (found) return found;
    if (!options?.create) throw absent(name);
    const made = new MemoryDirectory(name, this.#rules);
    this.folders.set(name, made);
    return made;
  }

  async getFileHandle(name: string, options?: { readonly create: boolean }): Promise<OpfsFile> {
    if (/[/\\]/.test(name)) throw new TypeError(`${name} is no name`);
    if (!this.files.has(name)) {
      if (!options?.create) throw absent(name);
      this.files.set(name, { bytes: new Uint8Array(0), isOpen: false });
    }
    const entry = this.files.get(name)!;
    return {
      name,
      getFile: async () => {
        if (entry.isOpen) throw new DOMException('open elsewhere', 'NotReadableError');
        return new File([entry.bytes], name);
      },
      createWritable: async ({ keepExistingData }) => this.#writable(entry, keepExistingData),
      ...(this.#rules.inPlace && { createSyncAccessHandle: async () => this.#access(entry) }),
      ...(this.#rules.move && {
        move: async (to: string) => {
          this.files.delete(name);
          this.files.set(to, entry);
        },
      }),
    };
  }

  #writable(entry: Entry, keepExistingData: boolean): OpfsWritable {
    let copy = keepExistingData ? entry.bytes.slice() : new Uint8Array(0);
    return {
      async write({ position, data }) {
        copy = patched(copy, position, data);
      },
      async truncate(size) {
        copy = copy.slice(0, size);
      },
      async close() {
        entry.bytes = copy;
      },
    };
  }

  #access(entry: Entry): OpfsAccess {
    if (entry.isOpen) throw new DOMException('open elsewhere', 'NoModificationAllowedError');
    entry.isOpen = true;
    return {
      getSize: () => entry.bytes.length,
      write(bytes, { at }) {
        const part = bytes.subarray(0, 100_000); // a part at a time is allowed
        entry.bytes = patched(entry.bytes, at, part);
        return part.length;
      },
      truncate: (size) => void (entry.bytes = entry.bytes.slice(0, size)),
      flush: () => undefined,
      close: () => void (entry.isOpen = false),
    };
  }
}
