/**
 * Casts between dtypes on 32-bit lanes, bit for bit as the core's `cast`: towards zero for integers, modulo 2^32 beyond
 * their range, nearest-even for f16 and bf16, "is not 0" for bool.
 */
import type { DType } from '@mindseye/tensor-core';
import { f32x4, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { type HalfName, WIDENING } from '../kernels/half.js';

type Vector = Local<'v128'>;
/** Writes a conversion of one vector. */
type Conversion = (f: FunctionBuilder, x: Vector) => Expression<'v128'>;

type Wide = Exclude<DType, HalfName>;

const words = (value: number): Expression<'v128'> => i32x4.constant(value, value, value, value);
const absoluteBits = 0x7fffffff;
const infinityBits = 0x7f800000;

const same: Conversion = (_f, x) => x;
const isNotZero: Conversion = (_f, x) => i32x4.ne(x, words(0));

/**
 * f32 to the i32 or u32 with the same residue modulo 2^32. From 2^31 on, x - 2^32 floor(x / 2^32) is exact; infinities
 * become NaN there and NaN becomes 0.
 */
const toWhole: Conversion = (f, x) => {
  const isSmall = f.let('isSmall', f32x4.lt(f32x4.abs(x), f32x4.constant(2 ** 31)));
  const turns = f32x4.floor(f32x4.mul(x, f32x4.constant(2 ** -32)));
  const rest = f32x4.sub(x, f32x4.mul(turns, f32x4.constant(2 ** 32)));
  return v128.bitselect(f32x4.truncSatSigned(x), f32x4.truncSatUnsigned(rest), isSmall);
};

const fromBool =
  (one: Expression<'v128'>): Conversion =>
  (_f, x) =>
    v128.and(x, one);

const wide: Readonly<Record<Wide, Readonly<Record<Wide, Conversion>>>> = {
  f32: { f32: same, i32: toWhole, u32: toWhole, bool: (_f, x) => f32x4.ne(x, f32x4.constant(0)) },
  i32: { f32: (_f, x) => f32x4.convertI32x4Signed(x), i32: same, u32: same, bool: isNotZero },
  u32: { f32: (_f, x) => f32x4.convertI32x4Unsigned(x), i32: same, u32: same, bool: isNotZero },
  bool: {
    f32: fromBool(f32x4.constant(1)),
    i32: fromBool(words(1)),
    u32: fromBool(words(1)),
    bool: same,
  },
};

/** What rounding to nearest even adds before the low `shift` bits are cut: just under half a unit, one more for odd bits. */
const roundUp = (x: Expression<'v128'>, shift: number): Expression<'v128'> =>
  i32x4.add(words(2 ** (shift - 1) - 1), v128.and(i32x4.shrUnsigned(x, shift), words(1)));

const isNaNBits = (magnitude: Vector): Expression<'v128'> => i32x4.gtSigned(magnitude, words(infinityBits));

/** f32 to stored half bits. */
const narrow: Readonly<Record<HalfName, Conversion>> = {
  bf16: (f, x) => {
    const magnitude = f.let('magnitude', v128.and(x, words(absoluteBits)));
    const rounded = i32x4.shrUnsigned(i32x4.add(x, roundUp(x, 16)), 16);
    const quiet = v128.or(i32x4.shrUnsigned(x, 16), words(0x40));
    return v128.bitselect(quiet, rounded, isNaNBits(magnitude));
  },
  f16: (f, x) => {
    const magnitude = f.let('magnitude', v128.and(x, words(absoluteBits)));
    const rebiased = i32x4.sub(i32x4.add(magnitude, roundUp(magnitude, 13)), words(0x38000000));
    const normal = i32x4.shrUnsigned(rebiased, 13);
    // One half has the unit of f16's subnormals, so adding it rounds to them.
    const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.constant(0.5)), words(0x3f000000));
    const finite = v128.bitselect(normal, subnormal, i32x4.gtSigned(magnitude, words(0x387fffff)));
    // 65520, the tie between the largest number and the next step, rounds to infinity.
    const bounded = v128.bitselect(words(0x7c00), finite, i32x4.gtSigned(magnitude, words(0x477fefff)));
    const quiet = v128.or(v128.and(i32x4.shrUnsigned(magnitude, 13), words(0x3ff)), words(0x7e00));
    const code = v128.bitselect(quiet, bounded, isNaNBits(magnitude));
    return v128.or(code, v128.and(i32x4.shrUnsigned(x, 16), words(0x8000)));
  },
};

const isHalf = (dtype: DType): dtype is HalfName => dtype === 'f16' || dtype === 'bf16';

/** The conversion from one dtype to another; halves go by way of f32. */
export function castCode(from: DType, to: DType): Conversion {
  if (from === to) return same;
  const first = isHalf(from) ? WIDENING[from] : same;
  const middle = wide[isHalf(from) ? 'f32' : from][isHalf(to) ? 'f32' : to];
  const last = isHalf(to) ? narrow[to] : same;
  return (f, x) => {
    const widened = f.let('widened', first(f, x));
    const converted = f.let('converted', middle(f, widened));
    return last(f, converted);
  };
}
