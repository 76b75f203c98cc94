/**
 * The passes over one row that softmax, log-sum-exp, cross entropy and attention share, as emitters: each declares its
 * locals and constants where it is called (before the loop over rows) and returns a function that writes the pass.
 */
import { f32, f32x4, i32, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { forEachOfRow, RowTotal, splat } from './row-pass.js';
import type { Arithmetic } from './tier.js';
import { emitExp, emitLogOfNormal } from './transcendental.js';

const UNROLL_MAXIMUM = 8;
const UNROLL_EXP = 4;
const UNROLL_SCALE = 4;

/** Writes code that computes one number of a row, in every lane. */
export type RowFunction = (pointer: Local<'i32'>, columns: Local<'i32'>) => Local<'v128'>;

/** Writes code that adds up over a row what is taken relative to its largest element. */
type ShiftedSum = (pointer: Local<'i32'>, columns: Local<'i32'>, maximum: Local<'v128'>) => Local<'f32'>;

/** Emits the largest element of a row, in every lane; -Infinity if there is none. */
export function emitRowMaximum(f: FunctionBuilder): RowFunction {
  const largest = new RowTotal(f, 'largest', UNROLL_MAXIMUM, -Infinity, f32x4.pmax);
  return (pointer, columns) => {
    const cursor = f.let('cursor', pointer);
    largest.start();
    const pass = { cursors: [cursor], count: columns, unroll: UNROLL_MAXIMUM, totals: [largest] };
    forEachOfRow(f, pass, (lanes) => {
      // NaN elements compare false and are passed over here; they come back through e^(x - max).
      lanes.update(largest, (most) => f32x4.pmax(most, lanes.load(cursor)));
    });
    return splat(f, 'maximum', largest.value());
  };
}

/** A row maximum of -Infinity means that nothing is there to normalise. */
export function isEmptyRow(maximum: Local<'v128'>): Expression<'i32'> {
  return f32.eq(f32x4.extractLane(maximum, 0), -Infinity);
}

/** Emits the sum of e^(x - maximum) over a row. */
function emitShiftedSum(f: FunctionBuilder, arithmetic: Arithmetic): ShiftedSum {
  const exp = emitExp(f, arithmetic);
  const sums = new RowTotal(f, 'sum', UNROLL_EXP);
  return (pointer, columns, maximum) => {
    const cursor = f.let('cursor', pointer);
    sums.start();
    forEachOfRow(f, { cursors: [cursor], count: columns, unroll: UNROLL_EXP, totals: [sums] }, (lanes) => {
      const value = exp(f32x4.sub(lanes.load(cursor), maximum));
      lanes.update(sums, (sum) => f32x4.add(sum, value));
    });
    return sums.value();
  };
}

/** Emits max + log sum e^(x - max); the maximum itself where that is infinite. */
export function emitRowLogSumExp(f: FunctionBuilder, arithmetic: Arithmetic): RowFunction {
  const log = emitLogOfNormal(f, arithmetic);
  const rowMaximum = emitRowMaximum(f);
  const shiftedSum = emitShiftedSum(f, arithmetic);
  const result = f.local('v128', 'logSumExp');
  return (pointer, columns) => {
    const maximum = rowMaximum(pointer, columns);
    f.set(result, maximum);
    const isInfinite = f32.eq(f32.abs(f32x4.extractLane(maximum, 0)), Infinity);
    f.if(i32.eqz(isInfinite), () => {
      const total = splat(f, 'total', shiftedSum(pointer, columns, maximum));
      // A NaN sum has no logarithm; adding it keeps it NaN.
      const isNumber = f32x4.eq(total, total);
      f.set(result, f32x4.add(maximum, v128.bitselect(log(total), total, isNumber)));
    });
    return result;
  };
}

/** Emits y = e^(x - maximum) over a row; returns the sum. */
export function emitShiftedExponentials(
  f: FunctionBuilder,
  arithmetic: Arithmetic,
): (y: Local<'i32'>, ...row: Parameters<ShiftedSum>) => Local<'f32'> {
  const exp = emitExp(f, arithmetic);
  const sums = new RowTotal(f, 'sum', UNROLL_EXP);
  return (y, x, columns, maximum) => {
    const [from, to] = [f.let('from', x), f.let('to', y)];
    sums.start();
    forEachOfRow(f, { cursors: [from, to], count: columns, unroll: UNROLL_EXP, totals: [sums] }, (lanes) => {
      const value = exp(f32x4.sub(lanes.load(from), maximum));
      lanes.store(to, value);
      lanes.update(sums, (sum) => f32x4.add(sum, value));
    });
    return sums.value();
  };
}

/** Multiplies the elements of a row by a factor, in place. */
export function scaleRow(f: FunctionBuilder, y: Local<'i32'>, columns: Local<'i32'>, factor: Local<'v128'>): void {
  const cursor = f.let('scaled', y);
  forEachOfRow(f, { cursors: [cursor], count: columns, unroll: UNROLL_SCALE }, (lanes) => {
    lanes.store(cursor, f32x4.mul(lanes.load(cursor), factor));
  });
}

/** Emits y = e^(x - maximum) / sum over a row; returns the sum, in every lane. */
export function emitExponentials(
  f: FunctionBuilder,
  arithmetic: Arithmetic,
): (y: Local<'i32'>, x: Local<'i32'>, columns: Local<'i32'>, maximum: Local<'v128'>) => Local<'v128'> {
  const exponentials = emitShiftedExponentials(f, arithmetic);
  return (y, x, columns, maximum) => {
    const total = exponentials(y, x, columns, maximum);
    scaleRow(f, y, columns, splat(f, 'inverse', f32.div(1, total)));
    return splat(f, 'total', total);
  };
}
