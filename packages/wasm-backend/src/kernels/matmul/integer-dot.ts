/**
 * Dot products of bytes: lane i of the result is lane i of `sum` plus the products of bytes 4i … 4i + 3 of `signed` (−128 …
 * 127) with those of `small` (0 … 127).
 *
 * Integer sums are exact, so every tier has the same bits. Where there are relaxed instructions one does it, and 0 … 127 is
 * what all machines take alike in it. `simd128` multiplies the even bytes and the odd ones as 16-bit numbers, which puts
 * each product into the same lane.
 */
import { i16x8, i32x4, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, Local, Operand } from '../../emit/index.js';
import type { Tier } from '../tier.js';

type Vector = Operand<'v128'>;

export type IntegerDot = (signed: Expression<'v128'>, small: Expression<'v128'>, sum: Vector) => Expression<'v128'>;

/** Call before the loops: a constant is set here. */
export function integerDot(f: FunctionBuilder, tier: Tier): IntegerDot {
  if (tier !== 'simd128') return i32x4.relaxedDotI8x16I7x16AddSigned;
  const low = f.let('low', i32x4.constant(0x00ff00ff, 0x00ff00ff, 0x00ff00ff, 0x00ff00ff));
  const even = (bytes: Local<'v128'>): Expression<'v128'> => i16x8.shrSigned(i16x8.shl(bytes, 8), 8);
  return (signed, small, sum) => {
    const [a, b] = [f.let('signed', signed), f.let('small', small)];
    const ofEven = i32x4.dotI16x8Signed(even(a), v128.and(b, low));
    const ofOdd = i32x4.dotI16x8Signed(i16x8.shrSigned(a, 8), i16x8.shrUnsigned(b, 8));
    return i32x4.add(i32x4.add(ofEven, ofOdd), sum);
  };
}
