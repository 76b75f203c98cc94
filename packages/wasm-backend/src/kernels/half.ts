/**
 * f16 and bf16 codes to f32: as code on four lanes, and as kernels over contiguous arrays. Exact, subnormals, infinities and
 * NaN included.
 *
 *   bf16   the upper half of the f32
 *   f16    sign, 5 bits of exponent (bias 15), 10 of fraction
 */
import { f32x4, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { ELEMENT_GRAIN } from './elementwise.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachVector, vectorConstant } from './vector-loop.js';

export type HalfName = 'f16' | 'bf16';

const HALF_BYTES = 2;

/** Called before the loops, where constants are set; writes the f32 of the codes in the low halves of four lanes. */
export type Widening = (f: FunctionBuilder) => (codes: Local<'v128'>) => Expression<'v128'>;

const words = (f: FunctionBuilder, value: number): Local<'v128'> =>
  f.let('words', i32x4.constant(value, value, value, value));

export const WIDENING: Readonly<Record<HalfName, Widening>> = {
  bf16: () => (codes) => i32x4.shl(codes, 16),
  f16: (f) => {
    const kept = words(f, 0x8fffe000 | 0);
    const scale = vectorConstant(f, 'scale', 2 ** 112);
    const beyond = vectorConstant(f, 'beyond', 2 ** 16);
    const exponent = words(f, 0x7f800000);
    return (codes) => {
      // Sign, exponent and fraction where an f32 has them: the value times 2^-112, subnormals included.
      const small = v128.and(i32x4.shrSigned(i32x4.shl(codes, 16), 3), kept);
      const scaled = f.let('scaled', f32x4.mul(small, scale));
      // Infinity and NaN have come out as numbers that f16 does not have.
      return v128.or(scaled, v128.and(f32x4.ge(f32x4.abs(scaled), beyond), exponent));
    };
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
      const widen = WIDENING[dtype](f);
      forEachVector(f, { cursors: [p.out], halfCursors: [p.codes], count: p.count, unroll: 4 }, (lanes) => {
        const codes = f.let('codes', lanes.loadHalf(p.codes));
        f.do(lanes.store(p.out, widen(codes)));
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
      host.checkRange('widen codes', codes, count, HALF_BYTES);
      host.divide(kernels[dtype], { count, grain: ELEMENT_GRAIN, multiple: 64 }, (from, size) => [
        out + F32_BYTES * from,
        codes + HALF_BYTES * from,
        size,
      ]);
    },
  };
}
