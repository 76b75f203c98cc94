/**
 * What one element of each elementwise op is, in WGSL.
 *
 * Operands are named by their order: `a`, `b`, `c`. bool is the u32 0 or 1. A missing dtype means that the op is refused there.
 */
import type { DType } from '@mindseye/tensor-core';
import type { WgslScalar } from '../element.js';
import {
  comparisons,
  errorFunction,
  exponential,
  hyperbolicTangent,
  larger,
  logarithm,
  logistic,
  sineCosine,
  smaller,
} from '../wgsl/math.js';

export interface Expression {
  readonly code: string;
  /** Functions that `code` calls. */
  readonly functions?: string;
}

type ByDType = Partial<Record<DType, Expression>>;

const only = (dtypes: readonly DType[], code: string, functions?: string): ByDType =>
  Object.fromEntries(dtypes.map((dtype) => [dtype, functions === undefined ? { code } : { code, functions }]));

const float = (code: string, functions?: string): ByDType => only(['f32'], code, functions);
const numbers = (code: string): ByDType => only(['f32', 'i32', 'u32'], code);
const compared = (code: string, ofFloats: string): ByDType => ({
  ...only(['i32', 'u32', 'bool'], `select(0u, 1u, ${code})`),
  ...float(`select(0u, 1u, ${ofFloats}(a, b))`, comparisons),
});

/** By op name, then by the dtype of the first operand. */
export const expressions: Readonly<Record<string, ByDType>> = {
  // By the sign bit, so that no driver flushes a subnormal on the way.
  neg: { ...only(['i32'], '-a'), ...float('bitcast<f32>(bitcast<u32>(a) ^ 0x80000000u)') },
  abs: float('bitcast<f32>(bitcast<u32>(a) & 0x7fffffffu)'),
  exp: float('exponential(a)', exponential),
  log: float('logarithm(a)', logarithm),
  sqrt: float('sqrt(a)'),
  rsqrt: float('inverseSqrt(a)'),
  floor: float('floor(a)'),
  sin: float('sine(a)', sineCosine),
  cos: float('cosine(a)', sineCosine),
  tanh: float('hyperbolicTangent(a)', hyperbolicTangent),
  sigmoid: float('logistic(a)', logistic),
  erf: float('errorFunction(a)', errorFunction),
  add: numbers('a + b'),
  sub: numbers('a - b'),
  mul: numbers('a * b'),
  div: float('a / b'),
  maximum: { ...only(['i32', 'u32'], 'max(a, b)'), ...float('larger(a, b)', larger) },
  minimum: { ...only(['i32', 'u32'], 'min(a, b)'), ...float('smaller(a, b)', smaller) },
  equal: compared('a == b', 'isEqual'),
  less: compared('a < b', 'isLess'),
  lessEqual: compared('a <= b', 'isLessOrEqual'),
  logicalAnd: only(['bool'], 'a & b'),
  logicalOr: only(['bool'], 'a | b'),
  logicalNot: only(['bool'], '1u - a'),
};

/** A cast runs through the number that the source's word stands for, then to the word of the target. */
export const decoded: Readonly<Record<DType, { readonly code: string; readonly type: WgslScalar }>> = {
  f32: { code: 'a', type: 'f32' },
  i32: { code: 'a', type: 'i32' },
  u32: { code: 'a', type: 'u32' },
  bool: { code: 'a', type: 'u32' },
  f16: { code: 'f16ToF32(a)', type: 'f32' },
  bf16: { code: 'bf16ToF32(a)', type: 'f32' },
};

/** The word of the target from a decoded number `x`. */
export const encoded: Readonly<Record<DType, (x: string, type: WgslScalar) => string>> = {
  f32: (x) => `f32(${x})`,
  i32: (x) => `i32(${x})`,
  u32: (x) => `u32(${x})`,
  // By bits: NaN and subnormals are not 0.
  bool: (x, type) =>
    type === 'f32' ? `select(0u, 1u, (bitcast<u32>(${x}) & 0x7fffffffu) != 0u)` : `select(0u, 1u, ${x} != ${type}(0))`,
  f16: (x) => `f32ToF16(f32(${x}))`,
  bf16: (x) => `f32ToBf16(f32(${x}))`,
};
