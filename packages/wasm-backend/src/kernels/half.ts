/**
 * f16 and bf16 codes to f32: as code on four lanes, and as kernels over contiguous arrays. Exact, subnormals, infinities and
 * NaN included.
 *
 *   bf16   the upper half of the f32
 *   f16    sign, 5 bits of exponent (bias 15), 10 of fraction
 *
 * No step takes or gives a subnormal f32, which some processors need a hundred cycles for: trained weights have a few subnormal
 * codes in every thousand.
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
    const magnitude = words(f, 0x0fffe000);
    const bias = words(f, 112 << 23);
    const leastNormal = vectorConstant(f, 'leastNormal', 2 ** -14);
    const beyond = vectorConstant(f, 'beyond', 2 ** 16);
    const exponent = words(f, 0x7f800000);
    const sign = words(f, 0x80000000 | 0);
    return (codes) => {
      // Exponent and fraction where an f32 has them, as if all were normal: 2^-15 (1 + fraction) where 2^-14 fraction is due.
      const normal = f.let('normal', i32x4.add(v128.and(i32x4.shl(codes, 13), magnitude), bias));
      // 2 y - 2^-14 is what is due there, and not less than y elsewhere.
      const least = f32x4.pmin(normal, f32x4.add(normal, f32x4.sub(normal, leastNormal)));
      // Infinity and NaN have come out as numbers that f16 does not have.
      const size = v128.or(least, v128.and(f32x4.ge(normal, beyond), exponent));
      return v128.or(size, v128.and(i32x4.shl(codes, 16), sign));
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
