/**
 * All kernels in one WebAssembly module over one memory. The module's bytes are written here at run time, a few
 * milliseconds; engines compile each function when it is first called.
 */
import { ModuleBuilder } from '../emit/index.js';
import { canShareMemory } from '../threads/environment.js';
import { Threads } from '../threads/threads.js';
import { bindActivation, emitActivation } from './activation.js';
import type { ActivationKernels } from './activation.js';
import { bindAdamW, emitAdamW } from './adamw.js';
import type { AdamWKernels } from './adamw.js';
import { emitAttentionRows } from './attention-rows.js';
import { bindAttention } from './attention.js';
import type { AttentionKernels } from './attention.js';
import { bindCrossEntropy, emitCrossEntropy } from './cross-entropy.js';
import type { CrossEntropyKernels } from './cross-entropy.js';
import { bindDequantize, emitDequantize } from './dequantize.js';
import type { DequantizeKernels } from './dequantize.js';
import { bindElementwise, emitElementwiseFamily } from './elementwise.js';
import type { ElementwiseKernels } from './elementwise.js';
import { bindHalf, emitHalf } from './half.js';
import type { HalfKernels } from './half.js';
import { Engine } from './engine.js';
import { bindMatmul, emitMatmul } from './matmul/matmul.js';
import type { MatmulKernels } from './matmul/matmul.js';
import { bindQuantizedRowProducts, emitQuantizedRowProducts } from './matmul/quantized-row-products.js';
import type { QuantizedRowProductKernels } from './matmul/quantized-row-products.js';
import { bindRowProducts, emitRowProducts } from './matmul/row-products.js';
import type { RowProductKernels } from './matmul/row-products.js';
import { bindNorm, emitNorm } from './norm.js';
import type { NormKernels } from './norm.js';
import { bindRandom, emitRandom } from './random.js';
import type { RandomKernels } from './random.js';
import { bindRowVector, emitRowVector } from './row-vector.js';
import type { RowVectorKernels } from './row-vector.js';
import { bindRope, emitRope } from './rope.js';
import type { RopeKernels } from './rope.js';
import { bindSoftmax, emitSoftmax } from './softmax.js';
import type { SoftmaxKernels } from './softmax.js';
import { ARITHMETIC, supportsTier } from './tier.js';
import { chooseTier } from './self-test.js';
import type { Tier } from './tier.js';

/** Every kernel as a typed method on byte offsets into `memory`. */
export interface Kernels
  extends
    ActivationKernels,
    AdamWKernels,
    AttentionKernels,
    CrossEntropyKernels,
    DequantizeKernels,
    ElementwiseKernels,
    HalfKernels,
    MatmulKernels,
    QuantizedRowProductKernels,
    RowProductKernels,
    NormKernels,
    RandomKernels,
    RowVectorKernels,
    RopeKernels,
    SoftmaxKernels {
  readonly tier: Tier;
  readonly memory: WebAssembly.Memory;
  /** Compiles further modules on the same memory and threads. */
  readonly engine: Engine;
}

/** Options of `createKernels`. */
export interface KernelOptions {
  /**
   * The memory to work on; default: a fresh one that grows up to 4 GiB, shared where the host can. A shared memory is
   * recognised by its buffer; in another there is one thread.
   */
  readonly memory?: WebAssembly.Memory | undefined;
  /** Forces a tier; default: the best of this engine that passes the self-test. */
  readonly tier?: Tier | undefined;
  /** Threads that kernels are divided over: a number, or an existing crew; default: one per processor, at most 16. */
  readonly threads?: number | Threads | undefined;
}

const EMITTERS = [
  emitMatmul,
  emitRowProducts,
  emitQuantizedRowProducts,
  emitHalf,
  emitDequantize,
  emitElementwiseFamily,
  emitActivation,
  emitRowVector,
  emitNorm,
  emitSoftmax,
  emitRope,
  emitCrossEntropy,
  emitAttentionRows,
  emitAdamW,
  emitRandom,
] as const;

/** The bytes of the kernel module of a tier. */
export function emitKernelModule(tier: Tier, sharedMemory: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ sharedMemory, label: tier });
  for (const emit of EMITTERS) emit({ module, tier, arithmetic: ARITHMETIC[tier] });
  return module.encode();
}

/**
 * Emits, compiles and instantiates the kernels.
 * @throws Error if the engine has no WebAssembly SIMD, or lacks the tier asked for.
 */
export function createKernels(options: KernelOptions = {}): Kernels {
  if (options.tier && !supportsTier(options.tier)) {
    throw new Error(
      `wasm-backend: this JavaScript engine lacks the tier "${options.tier}"; leave the option out to have one chosen`,
    );
  }
  const { tier = chooseTier(), threads } = options;
  const memory = options.memory ?? growableMemory();
  const engine = new Engine(tier, memory, threads instanceof Threads ? threads : new Threads(threads));
  const host = engine.instantiate(emitKernelModule(tier, engine.sharedMemory));
  const products = { ...bindMatmul(host), ...bindRowProducts(host), ...bindHalf(host) };
  return {
    tier,
    memory,
    engine,
    ...products,
    ...bindQuantizedRowProducts(host),
    ...bindDequantize(host),
    ...bindElementwise(host),
    ...bindActivation(host),
    ...bindRowVector(host),
    ...bindNorm(host),
    ...bindSoftmax(host),
    ...bindCrossEntropy(host),
    ...bindRope(host),
    ...bindAttention(host, products),
    ...bindAdamW(host),
    ...bindRandom(host),
  };
}

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
