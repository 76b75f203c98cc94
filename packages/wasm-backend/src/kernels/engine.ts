/** What all modules of one device share: the tier that they are compiled for, their memory and their threads. */
import type { Threads } from '../threads/threads.js';
import type { FamilyName } from './families.js';
import { KernelHost } from './host.js';
import type { Tier } from './tier.js';

/** What a module is made of: a family of kernels, generated expressions, or copies between memories. */
export type ModuleName = FamilyName | 'expressions' | 'transfer';

export interface ModuleKind {
  readonly family: ModuleName;
  readonly sharedMemory: boolean;
}

export type Compile = (bytes: Uint8Array<ArrayBuffer>, kind: ModuleKind) => WebAssembly.Module;

export interface InstantiateOptions {
  readonly family: ModuleName;
  /** Memories that the bytes import beside `env.memory`, by name. */
  readonly memories?: Readonly<Record<string, WebAssembly.Memory>>;
}

export class Engine {
  readonly tier: Tier;
  readonly memory: WebAssembly.Memory;
  readonly threads: Threads;
  readonly #compile: Compile;
  #preparing = 0;

  /** @param threads are used only where the memory is shared. @param compile how modules of the tier are compiled. */
  constructor(tier: Tier, memory: WebAssembly.Memory, threads: Threads, compile: Compile) {
    this.tier = tier;
    this.memory = memory;
    this.threads = threads;
    this.#compile = compile;
  }

  /** Milliseconds spent so far on emitting, checking and compiling modules. */
  get preparingMilliseconds(): number {
    return this.#preparing;
  }

  /** Instantiates what is emitted here, and counts the time of both. */
  prepare(emit: () => Uint8Array<ArrayBuffer>, options: InstantiateOptions): KernelHost {
    const start = performance.now();
    const host = this.instantiate(emit(), options);
    this.#preparing += performance.now() - start;
    return host;
  }

  get sharedMemory(): boolean {
    return typeof SharedArrayBuffer !== 'undefined' && this.memory.buffer instanceof SharedArrayBuffer;
  }

  /**
   * Compiles a module, on every thread; its exported functions become kernels.
   *
   * @param bytes import `env.memory`, and `env.sin` and `env.cos` if they like. Their label names the tier.
   */
  instantiate(bytes: Uint8Array<ArrayBuffer>, { family, memories }: InstantiateOptions): KernelHost {
    const { memory, tier, threads, sharedMemory } = this;
    const imports = { memory, ...memories };
    const module = this.#compile(bytes, { family, sharedMemory });
    const { exports } = new WebAssembly.Instance(module, { env: { ...imports, sin: Math.sin, cos: Math.cos } });
    if (!sharedMemory) return new KernelHost(memory, exports, tier);
    threads.install({ module, imports }, exports);
    return new KernelHost(memory, exports, tier, threads);
  }
}
