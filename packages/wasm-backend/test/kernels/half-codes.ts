/** f16 and bf16 codes for kernel tests, by the core's own conversions. */
import { narrowToBf16, narrowToF16, widenBf16, widenF16 } from '@mindseye/tensor-core';
import type { HalfName } from '../../src/kernels/index.js';

const conversions = {
  f16: { narrow: narrowToF16, widen: widenF16 },
  bf16: { narrow: narrowToBf16, widen: widenBf16 },
} as const;

/** The codes nearest to some numbers, and the numbers that they are. */
export function halfCodes(
  dtype: HalfName,
  values: Float32Array,
): { readonly codes: Uint16Array; readonly numbers: Float32Array } {
  const codes = conversions[dtype].narrow(values);
  return { codes, numbers: conversions[dtype].widen(codes) };
}

/** The numbers of codes. */
export const halfNumbers = (dtype: HalfName, codes: Uint16Array): Float32Array => conversions[dtype].widen(codes);

/** The number of every code. */
export const allHalves = (dtype: HalfName): Float32Array =>
  conversions[dtype].widen(Uint16Array.from({ length: 2 ** 16 }, (_, code) => code));
