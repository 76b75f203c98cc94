/**
 * C[m, n] = A[m, k]·B[k, n], or C += A·B, for one to four rows of A, both in row order: B is read once, front to back, a few
 * of its rows side by side, and C stays in the cache. Threads divide the columns.
 *
 * Every element of C is one chain of multiply-adds in the order of k, as in the blocked product: the bits are the same.
 */
import { i32, memory, v128 } from '../../emit/index.js';
import type { FunctionBuilder, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext, KernelHost } from '../host.js';
import { forEachVector } from '../vector-loop.js';
import type { Product } from './product.js';

/** Rows of B that are read side by side for each m: their factors fit the registers. */
const ROWS_OF_B: readonly number[] = [8, 4, 2, 2];

/** Largest m of these products. */
export const mostFewRows: number = ROWS_OF_B.length;

/** Vectors of a row of B per round: V8 joins neighbours. */
const UNROLL = 2;

/** Elements of B that are worth a part of their own. */
const GRAIN = 2 ** 16;
/** Parts begin at cache lines of C. */
const COLUMNS_OF_PARTS = 16;

const nameOf = (m: number): string => `matmulFewRows${m}`;
const CLEAR = 'matmulClear';

const BLOCK = { c: 'i32', cStride: 'i32', rows: 'i32', columns: 'i32' } as const;
const PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  c: 'i32',
  cStride: 'i32',
  n: 'i32',
  k: 'i32',
  /** Not zero: add to C. */
  fromC: 'i32',
} as const;
type Parameters = { readonly [K in keyof typeof PARAMETERS]: Local<'i32'> };

/** Emits one function per m, strides in bytes, and one that sets a block of C to 0. */
export function emitFewRows(context: KernelContext): void {
  const { module } = context;
  const clear = module.function({ name: CLEAR, parameters: BLOCK, result: 'void', exported: true }, (f, p) => {
    f.countDown(p.rows, 1, () => {
      f.do(memory.fill(p.c, 0, i32.shl(p.columns, 2)));
      f.set(p.c, i32.add(p.c, p.cStride));
    });
  });
  ROWS_OF_B.forEach((rowsOfB, i) => {
    const signature = { name: nameOf(i + 1), parameters: PARAMETERS, result: 'void', exported: true } as const;
    module.function(signature, (f, p) => {
      f.if(i32.eqz(p.fromC), () => f.callVoid(clear, p.c, p.cStride, i + 1, p.n));
      for (const rows of [rowsOfB, 1]) {
        f.countDown(p.k, rows, () => {
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
  forEachVector(f, { cursors: [...ofB, ...ofC], count: p.n, unroll: UNROLL }, (lanes) => {
    const sums = ofC.map((cursor) => f.let('sum', lanes.load(cursor)));
    ofB.forEach((cursor, j) => {
      const row = f.let('row', lanes.load(cursor));
      sums.forEach((sum, i) => f.set(sum, arithmetic.multiplyAdd(factors[i]![j]!, row, sum)));
    });
    ofC.forEach((cursor, i) => f.do(lanes.store(cursor, sums[i]!)));
  });
}

/** Binds the products of up to `mostFewRows` rows; for an empty sum, k = 0, of any number of rows. */
export function bindFewRows(host: KernelHost): (product: Product) => void {
  const kernels = ROWS_OF_B.map((_, i) => host.kernel(nameOf(i + 1)));
  const clear = host.kernel(CLEAR);
  return ({ m, n, k, a, strideA, b, strideB, c, strideC, accumulate }) => {
    if (k === 0) {
      if (!accumulate) clear(c, strideC, m, n);
      return;
    }
    const division = { count: n, grain: Math.ceil(GRAIN / k), multiple: COLUMNS_OF_PARTS };
    host.divide(kernels[m - 1]!, division, (from, size) => {
      const bytes = from * F32_BYTES;
      return [a, strideA, b + bytes, strideB, c + bytes, strideC, size, k, accumulate ? 1 : 0];
    });
  };
}
