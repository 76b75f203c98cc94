/**
 * C[m, n] += A[m, k]·B[k, n] for one to four rows of A, both in row order: B is read once, front to back, a few of its rows
 * side by side, and C stays in the cache.
 *
 * Every element of C is one chain of multiply-adds in the order of k, as in the blocked product: the bits are the same.
 */
import { i32, v128 } from '../../emit/index.js';
import type { FunctionBuilder, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { forEachVector } from '../vector-loop.js';

/** Rows of B that are read side by side for each m: their factors fit the registers. */
const ROWS_OF_B: readonly number[] = [8, 4, 2, 2];

/** Largest m of these products. */
export const FEW_ROWS: number = ROWS_OF_B.length;

/** The exported name of the product of m rows. */
export const fewRowsName = (m: number): string => `matmulFewRows${m}`;

const PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  c: 'i32',
  cStride: 'i32',
  n: 'i32',
  k: 'i32',
} as const;
type Parameters = { readonly [K in keyof typeof PARAMETERS]: Local<'i32'> };

/** Emits one function per m: (a, aStride, b, bStride, c, cStride, n, k), strides in bytes. */
export function emitFewRows(context: KernelContext): void {
  ROWS_OF_B.forEach((rowsOfB, i) => {
    const signature = { name: fewRowsName(i + 1), parameters: PARAMETERS, result: 'void', exported: true } as const;
    context.module.function(signature, (f, p) => {
      const remaining = f.let('remainingRows', p.k);
      for (const rows of [rowsOfB, 1]) {
        f.countDown(remaining, rows, () => {
          addRows(f, p, context, i + 1, rows);
          f.set(p.a, i32.add(p.a, rows * F32_BYTES));
          f.set(p.b, i32.add(p.b, i32.mul(p.bStride, rows)));
        });
      }
    });
  });
}

/** Adds `rows` rows of B, each times its factor of every row of A, to the rows of C. */
function addRows(f: FunctionBuilder, p: Parameters, { arithmetic }: KernelContext, m: number, rows: number): void {
  const spaced = (count: number, start: Local<'i32'>, stride: Local<'i32'>): Local<'i32'>[] => {
    const list: Local<'i32'>[] = [];
    for (let i = 0; i < count; i += 1) list.push(f.let('at', i === 0 ? start : i32.add(list[i - 1]!, stride)));
    return list;
  };
  const ofA = spaced(m, p.a, p.aStride);
  const factors = ofA.map((row) =>
    Array.from({ length: rows }, (_, j) => f.let('factor', v128.load32Splat(row, j * F32_BYTES))),
  );
  const ofB = spaced(rows, p.b, p.bStride);
  const ofC = spaced(m, p.c, p.cStride);
  forEachVector(f, { cursors: [...ofB, ...ofC], count: p.n, unroll: 1 }, (lanes) => {
    const sums = ofC.map((cursor) => f.let('sum', lanes.load(cursor)));
    ofB.forEach((cursor, j) => {
      const row = f.let('row', lanes.load(cursor));
      sums.forEach((sum, i) => f.set(sum, arithmetic.multiplyAdd(factors[i]![j]!, row, sum)));
    });
    ofC.forEach((cursor, i) => f.do(lanes.store(cursor, sums[i]!)));
  });
}
