/**
 * Reductions, and the broadcasts whose gradients they are.
 *
 * sumOfSquares adds in f64 (the norm of a whole gradient); column sums add in f32, in the order of rows.
 */
import { f32x4, f64, f64x2, i32x4, v128 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachRow, rowCursors } from './rows.js';
import { forEachVector } from './vector-loop.js';

const UNROLL = 4;

/** Reductions; offsets in bytes, sizes in elements, matrices contiguous [rows, columns]. */
export interface ReduceKernels {
  /** Sum of x[i]^2, in double precision. */
  sumOfSquares(x: number, count: number): number;
  /** out[c] += sum over r of x[r, c]. The caller sets `out` to zero first if it wants the plain sum. */
  addColumnSums(out: number, x: number, rows: number, columns: number): void;
  /** out[r, c] = x[r, c] + vector[c]; `out` may be `x`. */
  addRowVector(out: number, x: number, vector: number, rows: number, columns: number): void;
}

/** Emits the reductions. */
export function emitReduce(context: KernelContext): void {
  emitSumOfSquares(context);
  emitAddColumnSums(context);
  emitAddRowVector(context);
}

function emitSumOfSquares({ module }: KernelContext): void {
  const signature = {
    name: 'sumOfSquares',
    parameters: { x: 'i32', count: 'i32' },
    result: 'f64',
    exported: true,
  } as const;
  module.function(signature, (f, p) => {
    const low = Array.from({ length: UNROLL }, (_, i) => f.local('v128', `low${i}`));
    const high = Array.from({ length: UNROLL }, (_, i) => f.local('v128', `high${i}`));
    forEachVector(f, { cursors: [p.x], count: p.count, unroll: UNROLL }, (lanes) => {
      const value = f.let('value', lanes.own(lanes.load(p.x)));
      const halves = [
        [low, value],
        [high, i32x4.shuffle(value, value, [2, 3, 2, 3])],
      ] as const;
      for (const [sums, half] of halves) {
        const wide = f.let('wide', f64x2.promoteLowF32x4(half));
        const sum = sums[lanes.copy] as Local<'v128'>;
        f.set(sum, f64x2.add(sum, f64x2.mul(wide, wide)));
      }
    });
    const total = [...low, ...high].reduce((a, b) => f.let('total', f64x2.add(a, b)));
    f.return(f64.add(f64x2.extractLane(total, 0), f64x2.extractLane(total, 1)));
  });
}

function emitAddColumnSums({ module }: KernelContext): void {
  const parameters = { out: 'i32', x: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.function({ name: 'addColumnSums', parameters, result: 'void', exported: true }, (f, p) => {
    const out = rowCursors(f, p.out);
    const [outCursor] = out.cursors as readonly [Local<'i32'>];
    forEachRow(f, p.rows, [], () => {
      out.reset();
      forEachVector(f, { cursors: [outCursor, p.x], count: p.columns, unroll: UNROLL }, (lanes) => {
        f.do(lanes.store(outCursor, f32x4.add(lanes.load(outCursor), lanes.load(p.x))));
      });
    });
  });
}

function emitAddRowVector({ module }: KernelContext): void {
  const parameters = { out: 'i32', x: 'i32', vector: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.function({ name: 'addRowVector', parameters, result: 'void', exported: true }, (f, p) => {
    const vector = rowCursors(f, p.vector);
    const [vectorCursor] = vector.cursors as readonly [Local<'i32'>];
    forEachRow(f, p.rows, [], () => {
      vector.reset();
      forEachVector(f, { cursors: [p.out, p.x, vectorCursor], count: p.columns, unroll: UNROLL }, (lanes) => {
        f.do(lanes.store(p.out, f32x4.add(lanes.load(p.x), lanes.load(vectorCursor))));
      });
    });
  });
}

/** Binds the reductions. */
export function bindReduce(host: KernelHost): ReduceKernels {
  const sumOfSquares = host.kernel('sumOfSquares');
  const addColumnSums = host.kernel('addColumnSums');
  const addRowVector = host.kernel('addRowVector');
  return {
    sumOfSquares(x, count) {
      host.checkRange('sumOfSquares x', x, count);
      return sumOfSquares(x, count);
    },
    addColumnSums(out, x, rows, columns) {
      host.checkMatrix('addColumnSums', { x }, rows, columns);
      host.checkRange('addColumnSums out', out, columns);
      addColumnSums(out, x, rows, columns);
    },
    addRowVector(out, x, vector, rows, columns) {
      host.checkMatrix('addRowVector', { out, x }, rows, columns);
      host.checkRange('addRowVector vector', vector, columns);
      addRowVector(out, x, vector, rows, columns);
    },
  };
}
