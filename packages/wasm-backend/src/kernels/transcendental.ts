/**
 * Vector exp, log, erf, tanh and the logistic function as emitters: each sets its constants into locals where it is called
 * (before the loops) and returns a function that writes the computation. Branch-free; NaN in gives NaN out.
 *
 * - exp: x = n ln 2 + r with |r| <= ln 2 / 2 (two-step Cody-Waite reduction), e^r by a polynomial of degree 6 (minimax of the
 *   relative error, 3.1e-9 before rounding), result 2e^r * 2^(n-1). n comes from adding 1.5 * 2^23, which rounds to an
 *   integer, and n + 126 sits in the low bits of that sum, ready to be shifted into the exponent. Relative error below 2e-7;
 *   results below 2^-125.5 are 0, above the f32 range infinity.
 * - log, of normal positive x: x = 2^e m, m in [sqrt 1/2, sqrt 2), s = (m - 1)/(m + 1), log m = 2 atanh s by its series
 *   to s^11. Relative error below 2e-7. `emitLog` takes any x.
 * - erf, tanh: x P(x^2) / Q(x^2), minimax of the relative error by Lawson-weighted least squares on [-3.9, 3.9] and [-9, 9],
 *   exactly 1 or -1 beyond. Error below 4e-7, absolute and relative.
 * - normal distribution less 1/2, the odd half of the exact GELU, and its slope x phi(x) + Phi(x) - 1/2: rationals of the same
 *   form, minimax of the absolute error. Error below 2e-7 and 3e-7.
 */
import { f32x4, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import type { Arithmetic } from './tier.js';
import { vectorConstant } from './vector-loop.js';

/** Writes a function of one vector. */
export type VectorFunction = (x: Expression<'v128'>) => Local<'v128'>;

/** Makes a `VectorFunction` in a function body; its constants are set at this point. */
export type VectorFunctionEmitter = (f: FunctionBuilder, arithmetic: Arithmetic) => VectorFunction;

/** c0 + c1 x + c2 x^2 + ... by Horner's rule. */
export function polynomial(
  f: FunctionBuilder,
  { multiplyAdd }: Arithmetic,
  coefficients: readonly number[],
): VectorFunction {
  const locals = coefficients.map((value, i) => vectorConstant(f, `c${i}`, value));
  return (x) => {
    let sum = f.let('sum', locals.at(-1) as Local<'v128'>);
    for (const coefficient of locals.slice(0, -1).toReversed()) sum = f.let('sum', multiplyAdd(sum, x, coefficient));
    return sum;
  };
}

const EXP = {
  log2e: Math.LOG2E,
  /** 1.5 * 2^23 rounds to integers; 126 is the exponent bias less the factor 2 that the polynomial carries. */
  magic: 1.5 * 2 ** 23 + 126,
  /** ln 2 in two parts; the first has 10 bits, so its product with n is exact. */
  ln2High: 0.693359375,
  ln2Low: Math.LN2 - 0.693359375,
  /** Twice e^r. */
  polynomial: [1, 1, 0.49999994, 0.16666521, 0.04166839, 0.00836871, 0.0013814613].map((c) => 2 * c),
  /** Smallest argument: n = -126 gives the factor 0. */
  lowest: -87.4,
  /** Largest argument: 2^127 * 2e^r overflows to infinity. */
  highest: 89,
} as const;

/** e^(sign x): the sign is in the constants, and the remainder that the polynomial is given is that of x. */
const emitExponential =
  (sign: 1 | -1): VectorFunctionEmitter =>
  (f, arithmetic) => {
    const log2e = vectorConstant(f, 'log2e', sign * EXP.log2e);
    const magic = vectorConstant(f, 'magic', EXP.magic);
    const ln2High = vectorConstant(f, 'ln2High', sign * EXP.ln2High);
    const ln2Low = vectorConstant(f, 'ln2Low', sign * EXP.ln2Low);
    const [lowest, highest] = [sign * EXP.lowest, sign * EXP.highest].sort((a, b) => a - b) as [number, number];
    const least = vectorConstant(f, 'least', lowest);
    const most = vectorConstant(f, 'most', highest);
    const evaluate = polynomial(
      f,
      arithmetic,
      EXP.polynomial.map((c, power) => c * sign ** power),
    );
    return (value) => {
      // With the argument first, pmin and pmax let NaN through.
      const x = f.let('x', f32x4.pmin(f32x4.pmax(value, least), most));
      const shifted = f.let('shifted', arithmetic.multiplyAdd(x, log2e, magic));
      const n = f.let('n', f32x4.sub(shifted, magic));
      const reduced = arithmetic.negativeMultiplyAdd(n, ln2Low, arithmetic.negativeMultiplyAdd(n, ln2High, x));
      const twice = evaluate(f.let('r', reduced));
      return f.let('exp', f32x4.mul(twice, i32x4.shl(shifted, 23)));
    };
  };

/** e^x. */
export const emitExp: VectorFunctionEmitter = emitExponential(1);

/** 1 / (1 + e^-x). */
export const emitSigmoid: VectorFunctionEmitter = (f, arithmetic) => {
  const exp = emitExponential(-1)(f, arithmetic);
  const one = vectorConstant(f, 'one', 1);
  return (x) => f.let('sigmoid', f32x4.div(one, f32x4.add(one, exp(x))));
};

/** log x for normal x > 0. */
export const emitLogOfNormal: VectorFunctionEmitter = (f, arithmetic) => {
  const one = vectorConstant(f, 'one', 1);
  const ln2High = vectorConstant(f, 'ln2High', EXP.ln2High);
  const ln2Low = vectorConstant(f, 'ln2Low', EXP.ln2Low);
  const series = polynomial(f, arithmetic, [2 / 3, 2 / 5, 2 / 7, 2 / 9, 2 / 11]);
  const sqrtHalfBits = new DataView(new ArrayBuffer(4));
  sqrtHalfBits.setFloat32(0, Math.SQRT1_2);
  const offset = f.let('offset', i32x4.splat(sqrtHalfBits.getInt32(0)));
  return (x) => {
    const exponent = f.let('exponent', i32x4.shrSigned(i32x4.sub(x, offset), 23));
    const mantissa = f.let('mantissa', i32x4.sub(x, i32x4.shl(exponent, 23)));
    const e = f.let('e', f32x4.convertI32x4Signed(exponent));
    const s = f.let('s', f32x4.div(f32x4.sub(mantissa, one), f32x4.add(mantissa, one)));
    const square = f.let('square', f32x4.mul(s, s));
    const tail = f.let('tail', f32x4.mul(f32x4.mul(s, square), series(square)));
    // Small parts first: e ln2Low + tail, then 2 s, then e ln2High.
    const small = arithmetic.multiplyAdd(e, ln2Low, tail);
    return f.let('log', arithmetic.multiplyAdd(e, ln2High, f32x4.add(f32x4.add(s, s), small)));
  };
};

/** log x for every x: NaN below 0, -Infinity at both zeros; subnormal x are scaled first. */
export const emitLog: VectorFunctionEmitter = (f, arithmetic) => {
  const log = emitLogOfNormal(f, arithmetic);
  const smallestNormal = vectorConstant(f, 'smallestNormal', 2 ** -126);
  const scale = vectorConstant(f, 'scale', 2 ** 23);
  const logOfScale = vectorConstant(f, 'logOfScale', 23 * Math.LN2);
  const infinity = vectorConstant(f, 'infinity', Infinity);
  const zero = vectorConstant(f, 'zero', 0);
  return (value) => {
    const x = f.let('x', value);
    const tiny = f.let('tiny', f32x4.lt(x, smallestNormal));
    const normal = f.let('normal', v128.bitselect(f32x4.mul(x, scale), x, tiny));
    const finite = f32x4.sub(log(normal), v128.and(logOfScale, tiny));
    const bounded = v128.bitselect(infinity, finite, f32x4.eq(x, infinity));
    const atZero = v128.bitselect(f32x4.neg(infinity), bounded, f32x4.eq(x, zero));
    // All ones is a NaN.
    return f.let('log', v128.or(atZero, v128.not(f32x4.ge(x, zero))));
  };
};

interface OddRational {
  /** Where the function has come to its end, to rounding. */
  readonly limit: number;
  /** Coefficients of the powers of x^2. */
  readonly numerator: readonly number[];
  readonly denominator: readonly number[];
}

/** x P(s) / Q(s). */
function emitRatio(
  f: FunctionBuilder,
  arithmetic: Arithmetic,
  { numerator, denominator }: OddRational,
): (x: Local<'v128'>, square: Local<'v128'>) => Expression<'v128'> {
  const p = polynomial(f, arithmetic, numerator);
  const q = polynomial(f, arithmetic, denominator);
  return (x, square) => f32x4.div(f32x4.mul(x, p(square)), q(square));
}

/**
 * A function that rises from -end to end. The square is held at that of the limit, so that beyond it the ratio grows with x and
 * is cut at the end; with the argument first, pmin and pmax let NaN through.
 */
const emitRising =
  (end: number, rational: OddRational): VectorFunctionEmitter =>
  (f, arithmetic) => {
    const limit = vectorConstant(f, 'limit', rational.limit ** 2);
    const [lowest, highest] = [vectorConstant(f, 'lowest', -end), vectorConstant(f, 'highest', end)];
    const ratio = emitRatio(f, arithmetic, rational);
    return (value) => {
      const x = f.let('x', value);
      const square = f.let('square', f32x4.pmin(f32x4.mul(x, x), limit));
      // Rounding may step over the end before the limit too.
      return f.let('rising', f32x4.pmax(f32x4.pmin(ratio(x, square), highest), lowest));
    };
  };

/** The error function. */
export const emitErf: VectorFunctionEmitter = emitRising(1, {
  limit: 3.9,
  numerator: [1.1283791, 0.18866175, 0.051369626, 0.003540277, 0.00023000532],
  denominator: [1, 0.50052959, 0.11237285, 0.014342356, 0.0010452237, 2.3241431e-5, -1.1346798e-7],
});

/** The hyperbolic tangent. */
export const emitTanh: VectorFunctionEmitter = emitRising(1, {
  limit: 9,
  numerator: [1, 0.133797169, 0.00349403406, 2.05834731e-5, 1.33190614e-8],
  denominator: [1, 0.467130333, 0.025871072, 0.000328309194, 7.76201489e-7],
});

/** A function of which x beyond the limit has the value at the limit: for ends that are overshot. */
const emitHeld =
  (rational: OddRational): VectorFunctionEmitter =>
  (f, arithmetic) => {
    const lowest = vectorConstant(f, 'lowest', -rational.limit);
    const highest = vectorConstant(f, 'highest', rational.limit);
    const ratio = emitRatio(f, arithmetic, rational);
    return (value) => {
      const x = f.let('x', f32x4.pmin(f32x4.pmax(value, lowest), highest));
      return f.let('held', ratio(x, f.let('square', f32x4.mul(x, x))));
    };
  };

// At both limits the fused and the plain multiply-add give 1/2 exactly.

/** Phi(x) - 1/2 of the normal distribution. */
export const emitCentredNormal: VectorFunctionEmitter = emitHeld({
  limit: 5.444,
  numerator: [0.398942232, 0.0343760252, 0.00470725447, 0.000173849941, 6.35652941e-6, 2.21453895e-8],
  denominator: [1, 0.252833635, 0.0289400406, 0.00191297359, 7.51016923e-5, 1.1802141e-6],
});

/** d/dx (x Phi(x)) - 1/2 = Phi(x) + x phi(x) - 1/2. */
export const emitCentredGeluSlope: VectorFunctionEmitter = emitHeld({
  limit: 6.114,
  numerator: [0.797884524, -0.0182364527, 0.013698821, 0.000277602172, 3.41619889e-5, 1.12540067e-6, 1.87350953e-8],
  denominator: [
    1, 0.31047675, 0.0456628352, 0.00418569474, 0.000264342729, 1.12995513e-5, 3.96430778e-7, 1.37637735e-9,
  ],
});
