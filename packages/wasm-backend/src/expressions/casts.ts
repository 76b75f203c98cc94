/**
 * Casts between dtypes on 32-bit lanes, bit for bit as the core's `cast`: towards zero for integers, modulo 2^32 beyond
 * their range, nearest-even for f16 and bf16, "is not 0" for bool.
 */
import type { DType } from '@mindseye/tensor-core';
import { f32x4, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { type HalfName, WIDENING } from '../kernels/half.js';
import { vectorConstant } from '../kernels/vector-loop.js';

type Vector = Local<'v128'>;
/** Called before the loops, where constants are set; writes the conversion of one vector. */
type Conversion = (f: FunctionBuilder) => (x: Vector) => Expression<'v128'>;

type Wide = Exclude<DType, HalfName>;

const words = (f: FunctionBuilder, value: number): Vector => f.let('words', i32x4.constant(value, value, value, value));

const same: Conversion = () => (x) => x;
const isNotZero: Conversion = (f) => {
  const zero = words(f, 0);
  return (x) => i32x4.ne(x, zero);
};

/**
 * f32 to the i32 or u32 with the same residue modulo 2^32. From 2^31 on, which is rare, x - 2^32 floor(x / 2^32) is exact;
 * infinities become NaN there, and NaN becomes 0.
 */
const toWhole: Conversion = (f) => {
  const limit = vectorConstant(f, 'limit', 2 ** 31);
  const turn = vectorConstant(f, 'turn', 2 ** 32);
  const perTurn = vectorConstant(f, 'perTurn', 2 ** -32);
  return (x) => {
    const whole = f.let('whole', f32x4.truncSatSigned(x));
    const isLarge = f.let('isLarge', f32x4.ge(f32x4.abs(x), limit));
    f.if(v128.anyTrue(isLarge), () => {
      const rest = f32x4.sub(x, f32x4.mul(f32x4.floor(f32x4.mul(x, perTurn)), turn));
      f.set(whole, v128.bitselect(f32x4.truncSatUnsigned(rest), whole, isLarge));
    });
    return whole;
  };
};

const fromBool =
  (one: (f: FunctionBuilder) => Vector): Conversion =>
  (f) => {
    const value = one(f);
    return (x) => v128.and(x, value);
  };
const wholeFromBool = fromBool((f) => words(f, 1));

const wide: Readonly<Record<Wide, Readonly<Record<Wide, Conversion>>>> = {
  f32: {
    f32: same,
    i32: toWhole,
    u32: toWhole,
    bool: (f) => {
      const zero = words(f, 0);
      return (x) => f32x4.ne(x, zero);
    },
  },
  i32: { f32: () => (x) => f32x4.convertI32x4Signed(x), i32: same, u32: same, bool: isNotZero },
  u32: { f32: () => (x) => f32x4.convertI32x4Unsigned(x), i32: same, u32: same, bool: isNotZero },
  bool: {
    f32: fromBool((f) => vectorConstant(f, 'one', 1)),
    i32: wholeFromBool,
    u32: wholeFromBool,
    bool: same,
  },
};

/** What the two narrowings have in common. */
function narrowing(f: FunctionBuilder, shift: number) {
  const [absolute, infinity, one, justUnderHalf] = [
    words(f, 0x7fffffff),
    words(f, 0x7f800000),
    words(f, 1),
    words(f, 2 ** (shift - 1) - 1),
  ];
  return {
    magnitude: (x: Vector): Vector => f.let('magnitude', v128.and(x, absolute)),
    isNaN: (magnitude: Vector): Expression<'v128'> => i32x4.gtSigned(magnitude, infinity),
    /** Before the low `shift` bits are cut, to the nearest: just under half a unit, and one more where the kept bit is odd. */
    rounded: (x: Vector): Expression<'v128'> =>
      i32x4.add(i32x4.add(x, justUnderHalf), v128.and(i32x4.shrUnsigned(x, shift), one)),
  };
}

/** f32 to stored half bits. */
const narrow: Readonly<Record<HalfName, Conversion>> = {
  bf16: (f) => {
    const { magnitude, isNaN, rounded } = narrowing(f, 16);
    const quietBit = words(f, 0x40);
    return (x) => {
      const quiet = v128.or(i32x4.shrUnsigned(x, 16), quietBit);
      return v128.bitselect(quiet, i32x4.shrUnsigned(rounded(x), 16), isNaN(magnitude(x)));
    };
  },
  f16: (f) => {
    const { magnitude, isNaN, rounded } = narrowing(f, 13);
    const half = vectorConstant(f, 'half', 0.5);
    const [rebias, halfBits, lastSubnormal] = [words(f, 0x38000000), words(f, 0x3f000000), words(f, 0x387fffff)];
    const [lastFinite, infinity, quietBits, fraction, signBit] = [
      words(f, 0x477fefff),
      words(f, 0x7c00),
      words(f, 0x7e00),
      words(f, 0x3ff),
      words(f, 0x8000),
    ];
    return (x) => {
      const size = magnitude(x);
      const normal = i32x4.shrUnsigned(i32x4.sub(rounded(size), rebias), 13);
      // One half has the unit of f16's subnormals, so adding it rounds to them.
      const subnormal = i32x4.sub(f32x4.add(size, half), halfBits);
      const finite = v128.bitselect(normal, subnormal, i32x4.gtSigned(size, lastSubnormal));
      // 65520, the tie between the largest number and the next step, rounds to infinity.
      const bounded = v128.bitselect(infinity, finite, i32x4.gtSigned(size, lastFinite));
      const quiet = v128.or(v128.and(i32x4.shrUnsigned(size, 13), fraction), quietBits);
      const code = v128.bitselect(quiet, bounded, isNaN(size));
      return v128.or(code, v128.and(i32x4.shrUnsigned(x, 16), signBit));
    };
  },
};

const isHalf = (dtype: DType): dtype is HalfName => dtype === 'f16' || dtype === 'bf16';

/** The conversion from one dtype to another; halves go by way of f32. */
export function castCode(from: DType, to: DType): Conversion {
  if (from === to) return same;
  const parts = [
    isHalf(from) ? WIDENING[from] : same,
    wide[isHalf(from) ? 'f32' : from][isHalf(to) ? 'f32' : to],
    isHalf(to) ? narrow[to] : same,
  ].filter((part) => part !== same);
  return (f) => {
    const steps = parts.map((part) => part(f));
    return (x) => steps.reduce<Vector>((value, step) => f.let('converted', step(value)), x);
  };
}
