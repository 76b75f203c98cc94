/**
 * WGSL functions for what the language's own built-ins do too loosely.
 *
 * The specification lets sin and cos be wrong by 2^-11 and only inside [-π, π], leaves max of NaN open, and has no erf.
 */
import type { WgslFunctions } from './functions.js';

/** By bits: compilers may assume that a float is never NaN. */
export const isNan: WgslFunctions = {
  source: `
fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }`,
};

/** The order of f32 numbers as integers: infinities and subnormals compare as they should on every driver. Not for NaN. */
const ordinal: WgslFunctions = {
  source: `
fn ordinal(x: f32) -> i32 {
  let bits = bitcast<i32>(x);
  return select(bits, -(bits & 0x7fffffff), bits < 0);
}`,
};

/** Comparisons, false for NaN. */
export const comparisons: WgslFunctions = {
  uses: [isNan, ordinal],
  source: `
fn areOrdered(a: f32, b: f32) -> bool { return !isNan(a) && !isNan(b); }
fn isEqual(a: f32, b: f32) -> bool { return areOrdered(a, b) && ordinal(a) == ordinal(b); }
fn isLess(a: f32, b: f32) -> bool { return areOrdered(a, b) && ordinal(a) < ordinal(b); }
fn isLessOrEqual(a: f32, b: f32) -> bool { return areOrdered(a, b) && ordinal(a) <= ordinal(b); }`,
};

/** NaN wins, as in JavaScript's Math.max and torch.maximum. */
export const larger: WgslFunctions = {
  uses: [isNan, ordinal],
  source: `
fn larger(a: f32, b: f32) -> f32 { return select(a, b, !isNan(a) && (isNan(b) || ordinal(b) > ordinal(a))); }`,
};

export const smaller: WgslFunctions = {
  uses: [isNan, ordinal],
  source: `
fn smaller(a: f32, b: f32) -> f32 { return select(a, b, !isNan(a) && (isNan(b) || ordinal(b) < ordinal(a))); }`,
};

/** e^x, NaN where x is. */
export const exponential: WgslFunctions = {
  uses: [isNan],
  source: `
fn exponential(x: f32) -> f32 {
  if (isNan(x)) { return x; }
  return exp(x);
}`,
};

/** ln x with the right ends: -∞ at 0, NaN below, which drivers get wrong. The two are made at run time: WGSL has no literal. */
export const logarithm: WgslFunctions = {
  uses: [isNan],
  source: `
fn logarithm(x: f32) -> f32 {
  var bits = 0x7f800000u;
  if (isNan(x) || x == bitcast<f32>(bits)) { return x; }
  if (x == 0.0) { bits |= 0x80000000u; return bitcast<f32>(bits); }
  if (x < 0.0) { bits |= 0x400000u; return bitcast<f32>(bits); }
  return log(x);
}`,
};

/**
 * sin x and cos x with an absolute error near 1e-7 for |x| up to some 10^5.
 *
 * x = q·π/2 + r with |r| ≤ π/4: π/2 is split into three parts (8, 11 and 24 significant bits) so that q times the first two
 * is exact for |q| < 2^13 (Cody & Waite 1980). Then Taylor polynomials on [-π/4, π/4], of degree 9 and 10 (next terms 2e-9 and 5e-10).
 */
export const sineCosine: WgslFunctions = {
  source: `
fn quarterTurns(x: f32) -> f32 { return round(x * 0.63661977); }
fn reduceAngle(x: f32, q: f32) -> f32 { return ((x - q * 1.5703125) - q * 0.00048375129699707) - q * 0.000000075497899; }
fn sineOfQuarter(r: f32, quarter: i32) -> f32 {
  let s = r * r;
  let sine = r * (1.0 + s * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362880.0)))));
  let cosine = 1.0 + s * (-0.5 + s * (1.0 / 24.0 + s * (-1.0 / 720.0 + s * (1.0 / 40320.0 - s * (1.0 / 3628800.0)))));
  let value = select(sine, cosine, (quarter & 1) == 1);
  return select(value, -value, (quarter & 2) == 2);
}
fn sine(x: f32) -> f32 { let q = quarterTurns(x); return sineOfQuarter(reduceAngle(x, q), i32(q)); }
fn cosine(x: f32) -> f32 { let q = quarterTurns(x); return sineOfQuarter(reduceAngle(x, q), i32(q) + 1); }`,
};

/**
 * erf x with an absolute error below 3e-7.
 *
 * |x| < 1: the Maclaurin series 2/√π Σ (-1)^n x^(2n+1)/(n!(2n+1)) to n = 9, which keeps small x exact.
 * Beyond: 1 − (a₁t + … + a₅t⁵)e^(-x²), t = 1/(1 + 0.3275911|x|) (Abramowitz & Stegun 7.1.26).
 */
export const errorFunction: WgslFunctions = {
  uses: [isNan],
  source: `
fn errorFunction(x: f32) -> f32 {
  if (isNan(x)) { return x; }
  let a = min(abs(x), 10.0);
  let s = a * a;
  if (a < 1.0) {
    let series = 1.0 + s * (-1.0 / 3.0 + s * (1.0 / 10.0 + s * (-1.0 / 42.0 + s * (1.0 / 216.0 + s * (-1.0 / 1320.0 + s * (1.0 / 9360.0
      + s * (-1.0 / 75600.0 + s * (1.0 / 685440.0 - s * (1.0 / 6894720.0)))))))));
    return x * (1.1283792 * series);
  }
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-s);
  let value = 1.0 - tail;
  return select(value, -value, x < 0.0);
}`,
};

/** tanh x by its series below 1/4 and through e^(-2|x|) beyond, so that neither end loses digits or overflows. */
export const hyperbolicTangent: WgslFunctions = {
  source: `
fn hyperbolicTangent(x: f32) -> f32 {
  let a = abs(x);
  if (a < 0.25) {
    let s = x * x;
    return x * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
  }
  let e = exp(-2.0 * a);
  let value = (1.0 - e) / (1.0 + e);
  return select(value, -value, x < 0.0);
}`,
};

/** 1/(1 + e^-x) without overflow on either side. */
export const logistic: WgslFunctions = {
  source: `
fn logistic(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}`,
};

/** f16 and bf16 codes (IEEE 754 binary16; the upper half of binary32) to f32 and back, nearest even, by integer arithmetic. */
export const halfCodes: WgslFunctions = {
  source: `
fn halveToEven(bits: u32, shift: u32) -> u32 {
  let kept = bits >> shift;
  let rest = bits & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return kept + select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u));
}
fn f16ToF32(code: u32) -> f32 {
  let sign = (code & 0x8000u) << 16u;
  let magnitude = code & 0x7fffu;
  if (magnitude >= 0x7c00u) { return bitcast<f32>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13u)); }
  if (magnitude >= 0x400u) { return bitcast<f32>(sign | ((magnitude << 13u) + 0x38000000u)); }
  let small = f32(magnitude) * 5.9604645e-8;
  return select(small, -small, sign != 0u);
}
fn f32ToF16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u | ((magnitude >> 13u) & 0x3ffu); }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude >= 0x38800000u) { return sign | halveToEven(magnitude - 0x38000000u, 13u); }
  if (magnitude <= 0x33000000u) { return sign; }
  return sign | halveToEven((magnitude & 0x7fffffu) | 0x800000u, 126u - (magnitude >> 23u));
}
fn bf16ToF32(code: u32) -> f32 { return bitcast<f32>(code << 16u); }
fn f32ToBf16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
  return halveToEven(bits, 16u);
}`,
};
