/**
 * f16 and bf16 codes to f32: as code on four lanes, and as kernels over contiguous arrays. Exact, subnormals, infinities and
 * NaN included.
 *
 *   bf16   the upper half of the f32
 *   f16    sign, 5 bits of exponent (bias 15), 10 of fraction
 */
import { f32x4, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachVector } from './vector-loop.js';

export type HalfName = 'f16' | 'bf16';

/** From the low halves of four lanes to f32. */
export type Widening = (f: FunctionBuilder, codes: Local<'v128'>) => Expression<'v128'>;

const words = (value: number): Expression<'v128'> => i32x4.constant(value, value, value, value);

export const WIDENING: Readonly<Record<HalfName, Widening>> = {
  bf16: (_f, codes) => i32x4.shl(codes, 16),
  // The bits as an f32 stand for the value times 2^-112, subnormals included; infinity and NaN get their exponent back.
  f16: (f, codes) => {
    const magnitude = f.let('magnitude', i32x4.shl(v128.and(codes, words(0x7fff)), 13));
    const scaled = f32x4.mul(magnitude, f32x4.constant(2 ** 112));
    const special = v128.and(i32x4.gtSigned(magnitude, words(0x0f7fffff)), words(0x7f800000));
    return v128.or(v128.or(scaled, special), i32x4.shl(v128.and(codes, words(0x8000)), 16));
  },
};

/** Offsets in bytes, counts in elements. */
export interface HalfKernels {
  /** out f32 [count] from codes [count] of 16 bits. They must not overlap. */
  widen(dtype: HalfName, out: number, codes: number, count: number): void;
}

const exportName = (dtype: HalfName): string => `widen_${dtype}`;

/** Emits the two kernels. */
export function emitHalf({ module }: KernelContext): void {
  for (const dtype of ['f16', 'bf16'] as const) {
    const parameters = { out: 'i32', codes: 'i32', count: 'i32' } as const;
    module.function({ name: exportName(dtype), parameters, result: 'void', exported: true }, (f, p) => {
      forEachVector(f, { cursors: [p.out], halfCursors: [p.codes], count: p.count, unroll: 2 }, (lanes) => {
        const codes = f.let('codes', lanes.loadHalf(p.codes));
        f.do(lanes.store(p.out, WIDENING[dtype](f, codes)));
      });
    });
  }
}

/** Binds the family. */
export function bindHalf(host: KernelHost): HalfKernels {
  const kernels = { f16: host.kernel(exportName('f16')), bf16: host.kernel(exportName('bf16')) };
  return {
    widen(dtype, out, codes, count) {
      host.checkRange('widen out', out, count);
      host.checkRange('widen codes', codes, count, 2);
      kernels[dtype](out, codes, count);
    },
  };
}
