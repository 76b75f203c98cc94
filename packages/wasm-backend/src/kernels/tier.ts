/**
 * Feature tiers: which instructions kernels are made of, and how they are compiled.
 *
 * - `simd128`: 128-bit SIMD; a multiply-add is two instructions and rounds twice, `fround(c + fround(a * b))`.
 * - `relaxed`: relaxed SIMD; `f32x4.relaxed_madd` is one instruction and, on hardware with fused multiply-add, rounds
 *   once, `fround(a * b + c)` of the exact product and sum.
 * - `revectorized`: the instructions of `relaxed`, compiled by V8 with pairs of them joined to 256 bits (Node on x64). Results
 *   have the bits of `relaxed`.
 *
 * Results are the same on every machine within a tier, as long as the hardware fuses (x64 since 2013, all arm64).
 */
import { f32x4, ModuleBuilder } from '../emit/index.js';
import type { Expression, Operand } from '../emit/index.js';
import { compileRevectorized, canRevectorize } from './revectorize.js';

export type Tier = 'simd128' | 'relaxed' | 'revectorized';

type MultiplyAdd = (a: Operand<'v128'>, b: Operand<'v128'>, c: Operand<'v128'>) => Expression<'v128'>;

/** The two forms of multiply-add of a tier. */
export interface Arithmetic {
  /** `a * b + c`. */
  readonly multiplyAdd: MultiplyAdd;
  /** `c - a * b`. */
  readonly negativeMultiplyAdd: MultiplyAdd;
}

const fused: Arithmetic = { multiplyAdd: f32x4.relaxedMadd, negativeMultiplyAdd: f32x4.relaxedNmadd };

/** The instructions of each tier. */
export const ARITHMETIC: Readonly<Record<Tier, Arithmetic>> = {
  simd128: {
    multiplyAdd: (a, b, c) => f32x4.add(c, f32x4.mul(a, b)),
    negativeMultiplyAdd: (a, b, c) => f32x4.sub(c, f32x4.mul(a, b)),
  },
  relaxed: fused,
  revectorized: fused,
};

const TIERS_BEST_FIRST: readonly Tier[] = ['revectorized', 'relaxed', 'simd128'];

/** Compiles a module for a tier. Its label must be the tier, see `ModuleBuilder`. */
export function compileFor(tier: Tier, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  return tier === 'revectorized' ? compileRevectorized(bytes) : new WebAssembly.Module(bytes);
}

/** Whether this engine accepts the instructions of a tier and, for `revectorized`, joins them. */
export function supportsTier(tier: Tier): boolean {
  if (tier === 'revectorized') return supportsTier('relaxed') && canRevectorize();
  const module = new ModuleBuilder();
  module.function({ name: 'probe', parameters: { x: 'v128' }, result: 'v128', exported: false }, (f, { x }) => {
    f.return(ARITHMETIC[tier].multiplyAdd(x, x, x));
  });
  return WebAssembly.validate(module.encode());
}

/**
 * The best tier of this engine.
 * @param atMost no better one than this. @throws Error if the engine has no WebAssembly SIMD at all.
 */
export function probeTier(atMost: Tier = 'revectorized'): Tier {
  const best = TIERS_BEST_FIRST.slice(TIERS_BEST_FIRST.indexOf(atMost)).find(supportsTier);
  if (best) return best;
  throw new Error(
    'wasm-backend: this JavaScript engine has no WebAssembly SIMD; use Node 16.4 or later, Chrome 91, Firefox 89, ' +
      'Safari 16.4, or the reference device of @mindseye/tensor-core',
  );
}
