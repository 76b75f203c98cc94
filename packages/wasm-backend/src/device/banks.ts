/**
 * More memory than 32-bit addresses reach: beside the main memory, which kernels work on, banks of 4 GiB each that only hold
 * roots.
 *
 * An address is a number: the bank times 2^32, plus the byte offset; those below 2^32 are the main memory's. Kernels take main
 * addresses. What lies in a bank is fetched into the main memory, whole or in chunks, right before it is used. (A 64-bit memory
 * would hold everything in one place, but every access to it is checked, and V8 joins no vectors of it: decision 021.)
 */
import { type HostArray, type TensorSpec, hostView } from '@mindseye/tensor-core';
import { ModuleBuilder, memory as memoryInstructions } from '../emit/index.js';
import type { Engine } from '../kernels/engine.js';
import type { ExportedKernel, KernelHost } from '../kernels/host.js';
import { Heap, WasmMemoryError } from './heap.js';

/** Bytes of one memory: addresses of the main memory are below. */
export const BANK_BYTES: number = 2 ** 32;
const BANK_PAGES = 65_536;

/** True for addresses that kernels cannot be given. */
export const isBanked = (address: number): boolean => address >= BANK_BYTES;

/** Bytes that one thread copies at a time. */
const COPY_GRAIN = 2 ** 18;

interface Bank {
  readonly heap: Heap;
  readonly host: KernelHost;
  readonly fetch: ExportedKernel;
  readonly store: ExportedKernel;
}

export interface BankOptions {
  /** Most bytes of all memories together. */
  readonly maximumBytes: number;
}

export class Banks {
  readonly #engine: Engine;
  readonly #main: Heap;
  readonly #maximumBanks: number;
  readonly #banks: Bank[] = [];

  constructor(engine: Engine, main: Heap, { maximumBytes }: BankOptions) {
    this.#engine = engine;
    this.#main = main;
    this.#maximumBanks = Math.max(0, Math.ceil(maximumBytes / BANK_BYTES) - 1);
  }

  /** Whether there may be a bank at all. */
  get hasAny(): boolean {
    return this.#maximumBanks > 0;
  }

  /**
   * The address of `byteLength` bytes in a bank.
   *
   * @throws WasmMemoryError when no bank has room and none can be added.
   */
  allocate(byteLength: number): number {
    for (let number = 0; ; number += 1) {
      const bank = this.#banks[number] ?? this.#add();
      try {
        return (number + 1) * BANK_BYTES + bank.heap.allocate(byteLength);
      } catch (error) {
        if (!(error instanceof WasmMemoryError) || number + 1 >= this.#maximumBanks) throw error;
      }
    }
  }

  free(address: number, byteLength: number): void {
    const { heap, offset } = this.#at(address);
    heap.free(offset, byteLength);
  }

  /** The elements at an address of any memory, until a memory grows. */
  view(address: number, spec: TensorSpec): HostArray {
    const { heap, offset } = this.#at(address);
    return hostView(heap.memory.buffer, offset, spec);
  }

  /** Copies bytes from a bank to the main memory or back. */
  copy(into: number, from: number, byteLength: number): void {
    const stores = isBanked(into);
    const [main, banked] = stores ? [from, into] : [into, from];
    if (isBanked(main) || !isBanked(banked)) throw new RangeError('a copy is from or to one bank and the main memory');
    const { host, fetch, store } = this.#banks[Math.floor(banked / BANK_BYTES) - 1]!;
    const offset = banked % BANK_BYTES;
    const division = { count: byteLength, grain: COPY_GRAIN, multiple: 64 };
    host.divide(stores ? store : fetch, division, (at, size) => [main + at, offset + at, size]);
  }

  #at(address: number): { readonly heap: Heap; readonly offset: number } {
    if (!isBanked(address)) return { heap: this.#main, offset: address };
    const bank = this.#banks[Math.floor(address / BANK_BYTES) - 1];
    if (!bank) throw new RangeError(`address ${address} is in no memory of this device`);
    return { heap: bank.heap, offset: address % BANK_BYTES };
  }

  #add(): Bank {
    if (this.#banks.length >= this.#maximumBanks)
      throw new WasmMemoryError(
        `the device holds as many memories of 4 GiB as it may: raise maximumBytes, or use a smaller batch or model`,
      );
    const { sharedMemory } = this.#engine;
    let memory: WebAssembly.Memory;
    try {
      memory = new WebAssembly.Memory({ initial: 1, maximum: BANK_PAGES, shared: sharedMemory });
    } catch (cause) {
      throw new WasmMemoryError('the host refuses another WebAssembly memory: use a smaller batch or model', { cause });
    }
    const host = this.#engine.instantiate(emitTransfer(sharedMemory), {
      family: 'transfer',
      memories: { bank: memory },
    });
    const [fetch, store] = [host.kernel('fetch'), host.kernel('store')];
    const bank = { heap: new Heap(memory), host, fetch, store };
    this.#banks.push(bank);
    return bank;
  }
}

/** Copies between `env.memory` and `env.bank`: (main, offset in the bank, bytes). */
function emitTransfer(sharedMemory: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ sharedMemory, memories: ['memory', 'bank'] });
  const [main, bank] = [0, 1];
  const parameters = { main: 'i32', offset: 'i32', bytes: 'i32' } as const;
  module.function({ name: 'fetch', parameters, result: 'void', exported: true }, (f, p) => {
    f.do(memoryInstructions.copyBetween(main, bank, p.main, p.offset, p.bytes));
  });
  module.function({ name: 'store', parameters, result: 'void', exported: true }, (f, p) => {
    f.do(memoryInstructions.copyBetween(bank, main, p.offset, p.main, p.bytes));
  });
  return module.encode();
}

/** Whether this engine has modules with several memories. */
export function supportsBanks(): boolean {
  return WebAssembly.validate(emitTransfer(false));
}
