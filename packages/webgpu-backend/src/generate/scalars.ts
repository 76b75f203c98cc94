/**
 * What one element of each op on single elements is, in WGSL: for the op by itself and as a node of a fused expression.
 *
 * Values are of `wgslTypeOf` their dtype: bool is the u32 0 or 1, f16 and bf16 are codes in a u32. A missing dtype means that
 * the op is refused there.
 */
import type { DType } from '@mindseye/tensor-core';
import { type WgslScalar, wgslTypeOf } from '../element.js';
import type { WgslFunctions } from '../wgsl/functions.js';
import {
  comparisons,
  errorFunction,
  exponential,
  halfCodes,
  hyperbolicTangent,
  larger,
  logarithm,
  logistic,
  sineCosine,
  smaller,
} from '../wgsl/math.js';

export interface Scalar {
  /** The expression, from the names of the operands. */
  readonly code: (a: string, b: string, c: string) => string;
  /** Functions that it calls. */
  readonly functions?: WgslFunctions;
}

type ByDType = Partial<Record<DType, Scalar>>;

const only = (dtypes: readonly DType[], code: Scalar['code'], functions?: WgslFunctions): ByDType =>
  Object.fromEntries(dtypes.map((dtype) => [dtype, functions === undefined ? { code } : { code, functions }]));

const float = (code: Scalar['code'], functions?: WgslFunctions): ByDType => only(['f32'], code, functions);
const numbers = (code: Scalar['code']): ByDType => only(['f32', 'i32', 'u32'], code);
const compared = (sign: string, ofFloats: string): ByDType => ({
  ...only(['i32', 'u32', 'bool'], (a, b) => `select(0u, 1u, ${a} ${sign} ${b})`),
  ...float((a, b) => `select(0u, 1u, ${ofFloats}(${a}, ${b}))`, comparisons),
});

/** Ops without attributes by name, then by the dtype of the first operand. */
const plain: Readonly<Record<string, ByDType>> = {
  // By the sign bit, so that no driver flushes a subnormal on the way.
  neg: { ...only(['i32'], (a) => `-${a}`), ...float((a) => `bitcast<f32>(bitcast<u32>(${a}) ^ 0x80000000u)`) },
  abs: float((a) => `bitcast<f32>(bitcast<u32>(${a}) & 0x7fffffffu)`),
  exp: float((a) => `exponential(${a})`, exponential),
  log: float((a) => `logarithm(${a})`, logarithm),
  sqrt: float((a) => `sqrt(${a})`),
  rsqrt: float((a) => `inverseSqrt(${a})`),
  floor: float((a) => `floor(${a})`),
  sin: float((a) => `sine(${a})`, sineCosine),
  cos: float((a) => `cosine(${a})`, sineCosine),
  tanh: float((a) => `hyperbolicTangent(${a})`, hyperbolicTangent),
  sigmoid: float((a) => `logistic(${a})`, logistic),
  erf: float((a) => `errorFunction(${a})`, errorFunction),
  add: numbers((a, b) => `${a} + ${b}`),
  sub: numbers((a, b) => `${a} - ${b}`),
  mul: numbers((a, b) => `${a} * ${b}`),
  div: float((a, b) => `${a} / ${b}`),
  maximum: {
    ...only(['i32', 'u32'], (a, b) => `max(${a}, ${b})`),
    ...float((a, b) => `larger(${a}, ${b})`, larger),
  },
  minimum: {
    ...only(['i32', 'u32'], (a, b) => `min(${a}, ${b})`),
    ...float((a, b) => `smaller(${a}, ${b})`, smaller),
  },
  equal: compared('==', 'isEqual'),
  less: compared('<', 'isLess'),
  lessEqual: compared('<=', 'isLessOrEqual'),
  logicalAnd: only(['bool'], (a, b) => `${a} & ${b}`),
  logicalOr: only(['bool'], (a, b) => `${a} | ${b}`),
  logicalNot: only(['bool'], (a) => `1u - ${a}`),
  select: only(['bool'], (condition, a, b) => `select(${b}, ${a}, ${condition} != 0u)`),
};

/** The number that a value stands for, for casts. */
const decoded = (value: string, dtype: DType): { readonly code: string; readonly type: WgslScalar } =>
  dtype === 'f16' || dtype === 'bf16'
    ? { code: `${dtype}ToF32(${value})`, type: 'f32' }
    : { code: value, type: wgslTypeOf(dtype) };

/** The value of the target of a cast from a number. */
const encoded: Readonly<Record<DType, (number: string, type: WgslScalar) => string>> = {
  f32: (x) => `f32(${x})`,
  i32: (x) => `i32(${x})`,
  u32: (x) => `u32(${x})`,
  // By bits: NaN and subnormals are not 0.
  bool: (x, type) =>
    type === 'f32' ? `select(0u, 1u, (bitcast<u32>(${x}) & 0x7fffffffu) != 0u)` : `select(0u, 1u, ${x} != ${type}(0))`,
  f16: (x) => `f32ToF16(f32(${x}))`,
  bf16: (x) => `f32ToBf16(f32(${x}))`,
};

const isHalf = (dtype: DType): boolean => dtype === 'f16' || dtype === 'bf16';

type Maker = (from: DType, attributes: never) => Scalar | undefined;

const made: Readonly<Record<string, Maker>> = {
  cast(from, { dtype }: { readonly dtype: DType }) {
    const code = (a: string): string => {
      const number = decoded(a, from);
      return encoded[dtype](number.code, number.type);
    };
    return isHalf(from) || isHalf(dtype) ? { code, functions: halfCodes } : { code };
  },
  bitcast: (_from, { dtype }: { readonly dtype: DType }) => ({ code: (a) => `bitcast<${wgslTypeOf(dtype)}>(${a})` }),
  shiftRight: (_from, { bits }: { readonly bits: number }) => ({ code: (a) => `${a} >> ${bits}u` }),
};

/** Ops that `scalarOf` knows. */
export const scalarNames: readonly string[] = [...Object.keys(plain), ...Object.keys(made)];

/** The code of an op for a dtype of its first operand; undefined where there is none. */
export const scalarOf = (op: string, from: DType, attributes: object): Scalar | undefined =>
  plain[op]?.[from] ?? made[op]?.(from, attributes as never);
