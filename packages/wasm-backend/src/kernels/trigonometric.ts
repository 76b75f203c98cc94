/**
 * Vector sine and cosine, as emitters in the manner of transcendental.ts. Angles in radians.
 *
 * x = n pi/2 + r with |r| <= pi/4, reduced in double precision: pi/2 = P + p where P has 22 bits, so that n P is exact for
 * |n| < 2^31 and the error of r is below 2^-43. Then sin r and cos r by their series to r^9 and r^10 (truncation below 2e-9
 * and 1e-10), and quadrant n mod 4 says which of them with which sign. Absolute error below 2e-7 for |x| < 2^31; angles
 * beyond, infinities included, are handed one by one to a function of the host.
 */
import { f32, f32x4, f64, f64x2, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../emit/index.js';
import { type VectorFunctionEmitter, polynomial } from './transcendental.js';
import { vectorConstant } from './vector-loop.js';

/** The two functions, and by how many quadrants their angle is moved before the sine is taken. */
const QUADRANTS = { sin: 0, cos: 1 } as const;

export type TrigonometricName = keyof typeof QUADRANTS;

const LARGEST_ANGLE = 2 ** 31;
const HALF_PI_HIGH = Math.round((Math.PI / 2) * 2 ** 21) / 2 ** 21;
/** The double nearest to pi/2 falls short of it by this. */
const HALF_PI_TAIL = 6.123233995736766e-17;
const HALF_PI_LOW = Math.PI / 2 - HALF_PI_HIGH + HALF_PI_TAIL;

/** (-1)^k / (2k + start)! for k = 0 ... count - 1. */
function alternatingSeries(start: 0 | 1, count: number): number[] {
  const terms: number[] = [];
  let factorial = 1;
  for (let k = 0, n = start; k < count; k += 1) {
    terms.push((k % 2 === 0 ? 1 : -1) / factorial);
    factorial *= (n + 1) * (n + 2);
    n += 2;
  }
  return terms;
}

/** Sine or cosine. @param ofScalar the same function of one f64, for large angles. */
export function emitTrigonometric(name: TrigonometricName, ofScalar: FunctionReference<'f64'>): VectorFunctionEmitter {
  return (f, arithmetic) => {
    const constants = {
      perQuadrant: f.let('perQuadrant', f64x2.constant(2 / Math.PI)),
      high: f.let('high', f64x2.constant(HALF_PI_HIGH)),
      low: f.let('low', f64x2.constant(HALF_PI_LOW)),
    };
    const zero = vectorConstant(f, 'zero', 0);
    const largest = vectorConstant(f, 'largest', LARGEST_ANGLE);
    const sine = polynomial(f, arithmetic, alternatingSeries(1, 5));
    const cosine = polynomial(f, arithmetic, alternatingSeries(0, 6));
    return (value) => {
      const x = f.let('x', value);
      const lower = reduceHalf(f, x, constants);
      const upper = reduceHalf(f, i32x4.shuffle(x, x, [2, 3, 2, 3]), constants);
      const joined = (a: Expression<'v128'>, b: Expression<'v128'>): Local<'v128'> =>
        f.let('joined', i32x4.shuffle(a, b, [0, 1, 4, 5]));
      const r = joined(lower.angle, upper.angle);
      const whole = joined(lower.quadrant, upper.quadrant);
      const moved = i32x4.add(whole, i32x4.constant(...quadruple(QUADRANTS[name])));
      const quadrant = f.let('quadrant', QUADRANTS[name] === 0 ? whole : moved);
      const square = f.let('square', f32x4.mul(r, r));
      const [sineOfR, cosineOfR] = [f.let('sine', f32x4.mul(r, sine(square))), cosine(square)];
      const isOdd = i32x4.ne(v128.and(quadrant, i32x4.constant(...quadruple(1))), zero);
      const sign = i32x4.shl(v128.and(quadrant, i32x4.constant(...quadruple(2))), 30);
      const result = f.let('result', v128.xor(v128.bitselect(cosineOfR, sineOfR, isOdd), sign));
      // The reduction loses the sign of zero.
      if (name === 'sin') f.set(result, v128.bitselect(x, result, f32x4.eq(x, zero)));
      const isLarge = f.let('isLarge', f32x4.ge(f32x4.abs(x), largest));
      f.if(v128.anyTrue(isLarge), () => {
        const exact = f.let('exact', x);
        for (let lane = 0; lane < 4; lane += 1) {
          const angle = f64.promoteF32(f32x4.extractLane(x, lane));
          f.set(exact, f32x4.replaceLane(exact, lane, f32.demoteF64(f.call(ofScalar, angle))));
        }
        f.set(result, v128.bitselect(exact, result, isLarge));
      });
      return result;
    };
  };
}

const quadruple = (value: number): readonly [number, number, number, number] => [value, value, value, value];

/** r in f32 and n in i32, in lanes 0 and 1, of the angles in lanes 0 and 1. */
function reduceHalf(
  f: FunctionBuilder,
  x: Expression<'v128'>,
  { perQuadrant, high, low }: Readonly<Record<'perQuadrant' | 'high' | 'low', Local<'v128'>>>,
): { readonly angle: Local<'v128'>; readonly quadrant: Local<'v128'> } {
  const wide = f.let('wide', f64x2.promoteLowF32x4(x));
  const n = f.let('n', f64x2.nearest(f64x2.mul(wide, perQuadrant)));
  const r = f64x2.sub(f64x2.sub(wide, f64x2.mul(n, high)), f64x2.mul(n, low));
  return {
    angle: f.let('angle', f32x4.demoteF64x2Zero(r)),
    quadrant: f.let('quadrant', f64x2.truncSatSignedZero(n)),
  };
}
