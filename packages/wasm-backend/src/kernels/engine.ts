/** What all modules of one device share: the tier that they are compiled for, their memory and their threads. */
import type { Threads } from '../threads/threads.js';
import { KernelHost } from './host.js';
import { type Tier, compileFor } from './tier.js';

export class Engine {
  readonly tier: Tier;
  readonly memory: WebAssembly.Memory;
  readonly threads: Threads;

  /** @param threads are used only where the memory is shared. */
  constructor(tier: Tier, memory: WebAssembly.Memory, threads: Threads) {
    this.tier = tier;
    this.memory = memory;
    this.threads = threads;
  }

  get sharedMemory(): boolean {
    return typeof SharedArrayBuffer !== 'undefined' && this.memory.buffer instanceof SharedArrayBuffer;
  }

  /**
   * Compiles a module, on every thread; its exported functions become kernels.
   *
   * @param bytes import `env.memory`, and `env.sin` and `env.cos` if they like. Their label is the tier.
   * @param others memories that they import beside it, by name.
   */
  instantiate(bytes: Uint8Array<ArrayBuffer>, others: Readonly<Record<string, WebAssembly.Memory>> = {}): KernelHost {
    const { memory, tier, threads } = this;
    const imports = { memory, ...others };
    const module = compileFor(tier, bytes);
    const { exports } = new WebAssembly.Instance(module, { env: { ...imports, sin: Math.sin, cos: Math.cos } });
    if (!this.sharedMemory) return new KernelHost(memory, exports, tier);
    threads.install({ module, imports }, exports);
    return new KernelHost(memory, exports, tier, threads);
  }
}
