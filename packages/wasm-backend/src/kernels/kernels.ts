/** All kernels of one device, over one memory: emitted as bytes at run time, family by family, when they are first used. */
import { canShareMemory } from '../threads/environment.js';
import { Threads } from '../threads/threads.js';
import { type Compile, Engine } from './engine.js';
import { type FamilyName, type KernelMethods, emitFamily } from './families.js';
import { addLazyKernels } from './lazy-kernels.js';
import { SELF_TEST_PAGES } from './self-test-workspace.js';
import { checkedCompile, chooseTier } from './self-test.js';
import { type Tier, compileFor, supportsTier } from './tier.js';

/** Every kernel as a typed method on byte offsets into `memory`. */
export type Kernels = KernelMethods & {
  readonly tier: Tier;
  /** Why this tier, in words. */
  readonly tierReason: string;
  readonly memory: WebAssembly.Memory;
  /** Compiles further modules on the same memory and threads. */
  readonly engine: Engine;
};

/** Options of `createKernels`. */
export interface KernelOptions {
  /**
   * The memory to work on; default: a fresh one that grows up to 4 GiB, shared where the host can. A shared memory is
   * recognised by its buffer; in another there is one thread.
   */
  readonly memory?: WebAssembly.Memory | undefined;
  /** Forces a tier; default: the best of this engine, with families that fail the self-test compiled without its risk. */
  readonly tier?: Tier | undefined;
  /** False: `revectorized` is not chosen unless it is asked for. */
  readonly revectorize?: boolean | undefined;
  /** Threads that kernels are divided over: a number, or an existing crew; default: one per processor, at most 16. */
  readonly threads?: number | Threads | undefined;
}

/**
 * The kernels of the best tier, or of the tier asked for.
 * @throws Error if the engine has no WebAssembly SIMD, or lacks the tier asked for.
 */
export function createKernels(options: KernelOptions = {}): Kernels {
  if (options.tier && !supportsTier(options.tier)) {
    throw new Error(
      `wasm-backend: this JavaScript engine lacks the tier "${options.tier}"; leave the option out to have one chosen`,
    );
  }
  const { threads, revectorize = true } = options;
  const memory = options.memory ?? growableMemory();
  const crew = threads instanceof Threads ? threads : new Threads(threads);
  if (options.tier) {
    const tier = options.tier;
    return kernelsOn(new Engine(tier, memory, crew, (bytes) => compileFor(tier, bytes)), () => 'asked for');
  }
  const { tier, reason } = chooseTier(revectorize);
  const compile = checkedCompile(tier, (way) => kernelsToTest(isShared(memory), way));
  return kernelsOn(new Engine(tier, memory, crew, compile), reason);
}

/** The kernels of `revectorized`, compiled in some way, on a memory and a thread of their own. */
export function kernelsToTest(shared: boolean, compile: Compile): Kernels {
  const memory = new WebAssembly.Memory({ initial: SELF_TEST_PAGES, maximum: SELF_TEST_PAGES, shared });
  return kernelsOn(new Engine('revectorized', memory, new Threads(1), compile), () => 'to be tested');
}

/** What was emitted in this process: every device of a tier has the same bytes. */
const emitted = new Map<string, Uint8Array<ArrayBuffer>>();

function bytesOf(family: FamilyName, { tier, sharedMemory }: Engine): Uint8Array<ArrayBuffer> {
  const key = `${family} ${tier} ${sharedMemory}`;
  const bytes = emitted.get(key) ?? emitFamily(family, tier, sharedMemory);
  emitted.set(key, bytes);
  return bytes;
}

function kernelsOn(engine: Engine, reason: () => string): Kernels {
  const kernels = {
    tier: engine.tier,
    get tierReason() {
      return reason();
    },
    memory: engine.memory,
    engine,
  };
  return addLazyKernels(kernels, (family) => engine.prepare(() => bytesOf(family, engine), { family }));
}

const isShared = ({ buffer }: WebAssembly.Memory): boolean => canShareMemory() && buffer instanceof SharedArrayBuffer;

/** All that 32-bit addresses reach, in pages. */
const MAXIMUM_PAGES = 65_536;

/** One page that grows up to 4 GiB; a shared memory reserves addresses for all of it, and a host may refuse that. */
function growableMemory(): WebAssembly.Memory {
  if (canShareMemory()) {
    try {
      return new WebAssembly.Memory({ initial: 1, maximum: MAXIMUM_PAGES, shared: true });
    } catch {
      // Then threads cannot be had.
    }
  }
  return new WebAssembly.Memory({ initial: 1, maximum: MAXIMUM_PAGES });
}
