/**
 * The passes over one row that softmax, log-sum-exp, cross entropy and attention share, as emitters: each declares its
 * locals and constants where it is called (before the loop over rows) and returns a function that writes the pass.
 */
import { f32, f32x4, i32, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import type { Arithmetic } from './tier.js';
import { emitExp, emitLogOfNormal } from './transcendental.js';
import { Accumulators, forEachVector, vectorConstant } from './vector-loop.js';

const UNROLL = 4;
const UNROLL_EXP = 2;

/** Writes code that computes one number of a row, in every lane. */
export type RowFunction = (pointer: Local<'i32'>, columns: Local<'i32'>) => Local<'v128'>;

/** Emits the largest element of a row, in every lane; -Infinity if there is none. */
export function emitRowMaximum(f: FunctionBuilder): RowFunction {
  const lowest = vectorConstant(f, 'lowest', -Infinity);
  const largest = new Accumulators(f, 'largest', UNROLL);
  return (pointer, columns) => {
    const cursor = f.let('cursor', pointer);
    largest.fill(lowest);
    forEachVector(f, { cursors: [cursor], count: columns, unroll: UNROLL }, (lanes) => {
      const local = largest.of(lanes.copy);
      // NaN elements compare false and are passed over here; they come back through e^(x - max).
      f.set(local, f32x4.pmax(local, lanes.load(cursor)));
    });
    return largest.combine(f32x4.pmax);
  };
}

/** A row maximum of -Infinity means that nothing is there to normalise. */
export function isEmptyRow(maximum: Local<'v128'>): Expression<'i32'> {
  return f32.eq(f32x4.extractLane(maximum, 0), -Infinity);
}

/** Emits max + log sum e^(x - max); the maximum itself where that is infinite. */
export function emitRowLogSumExp(f: FunctionBuilder, arithmetic: Arithmetic): RowFunction {
  const exp = emitExp(f, arithmetic);
  const log = emitLogOfNormal(f, arithmetic);
  const rowMaximum = emitRowMaximum(f);
  const sums = new Accumulators(f, 'sum', UNROLL_EXP);
  const result = f.local('v128', 'logSumExp');
  return (pointer, columns) => {
    const maximum = rowMaximum(pointer, columns);
    f.set(result, maximum);
    const isInfinite = f32.eq(f32.abs(f32x4.extractLane(maximum, 0)), Infinity);
    f.if(i32.eqz(isInfinite), () => {
      const cursor = f.let('cursor', pointer);
      sums.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [cursor], count: columns, unroll: UNROLL_EXP }, (lanes) => {
        const sum = sums.of(lanes.copy);
        f.set(sum, f32x4.add(sum, lanes.own(exp(f32x4.sub(lanes.load(cursor), maximum)))));
      });
      const total = sums.sum();
      // A NaN sum has no logarithm; adding it keeps it NaN.
      const isNumber = f32x4.eq(total, total);
      f.set(result, f32x4.add(maximum, v128.bitselect(log(total), total, isNumber)));
    });
    return result;
  };
}

/** Writes y = e^(x - maximum) / sum over a row and returns the sum, in every lane. */
export function emitExponentials(
  f: FunctionBuilder,
  arithmetic: Arithmetic,
): (y: Local<'i32'>, x: Local<'i32'>, columns: Local<'i32'>, maximum: Local<'v128'>) => Local<'v128'> {
  const exp = emitExp(f, arithmetic);
  const one = vectorConstant(f, 'one', 1);
  const sums = new Accumulators(f, 'sum', UNROLL_EXP);
  return (y, x, columns, maximum) => {
    const from = f.let('from', x);
    const to = f.let('to', y);
    sums.fill(f32x4.constant(0));
    forEachVector(f, { cursors: [from, to], count: columns, unroll: UNROLL_EXP }, (lanes) => {
      const value = exp(f32x4.sub(lanes.load(from), maximum));
      f.do(lanes.store(to, value));
      const sum = sums.of(lanes.copy);
      f.set(sum, f32x4.add(sum, lanes.own(value)));
    });
    const total = sums.sum();
    const inverse = f.let('inverse', f32x4.div(one, total));
    f.set(to, y);
    forEachVector(f, { cursors: [to], count: columns, unroll: UNROLL }, (lanes) => {
      f.do(lanes.store(to, f32x4.mul(lanes.load(to), inverse)));
    });
    return total;
  };
}
