/**
 * The innermost kernel of the matrix product: one register tile,
 *
 *   C[i, j] = start + sum over p of A[i, p] * B[p, j]      for i < rows, j < 8,
 *
 * where start is C[i, j] or 0. The sum is one chain of multiply-adds in the order of p, so every element has the same bits
 * whatever the tile, block or tier-mate it was computed in.
 *
 * Per step p: two vector loads of B, and per row one splat load of A and two multiply-adds; no shuffles. B rows are
 * `bStride` bytes apart (32 when packed). A comes in one of two layouts:
 * - `rows`: A[i, p] at a + i * aStride + 4 * p (row-major A);
 * - `columns`: A[i, p] at a + p * aStride + 4 * i (transposed or packed A).
 */
import { i32, v128 } from '../../emit/index.js';
import type { FunctionReference, Local } from '../../emit/index.js';
import type { KernelContext } from '../host.js';

/** How A lies in memory; see the header. */
export type LayoutA = 'rows' | 'columns';

/** Steps of p per round of the main loop; V8 checks for interrupts once per round. */
const UNROLL = 4;

const VECTOR_BYTES = 16;

const PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  c: 'i32',
  cStride: 'i32',
  k: 'i32',
  /** Not zero: start from C, else from 0. */
  fromC: 'i32',
} as const;

/** Emits the micro-kernel for `rows` rows. */
export function emitMicroKernel(context: KernelContext, layout: LayoutA, rows: number): FunctionReference<'void'> {
  const name = `matmulTile${rows}x8${layout === 'rows' ? 'Rows' : 'Columns'}`;
  return context.module.function({ name, parameters: PARAMETERS, result: 'void', exported: false }, (f, p) => {
    const rowIndices = Array.from({ length: rows }, (_, i) => i);
    const accumulators = rowIndices.map(
      (i) => [f.local('v128', `acc${i}Low`), f.local('v128', `acc${i}High`)] as const,
    );
    const left = f.local('v128', 'left');
    const right = [f.local('v128', 'rightLow'), f.local('v128', 'rightHigh')] as const;
    // Row pointers of A; the layout `columns` needs one only.
    const pointers: Local<'i32'>[] = [p.a];
    if (layout === 'rows') {
      for (const i of rowIndices.slice(1)) {
        pointers.push(f.let(`a${i}`, i32.add(pointers[i - 1] as Local<'i32'>, p.aStride)));
      }
    }

    const step = (unrolled: number): void => {
      f.set(right[0], v128.load(p.b));
      f.set(right[1], v128.load(p.b, VECTOR_BYTES));
      f.set(p.b, i32.add(p.b, p.bStride));
      accumulators.forEach((pair, i) => {
        const pointer = layout === 'rows' ? (pointers[i] as Local<'i32'>) : p.a;
        f.set(left, v128.load32Splat(pointer, 4 * (layout === 'rows' ? unrolled : i)));
        pair.forEach((accumulator, half) => {
          f.set(accumulator, context.arithmetic.multiplyAdd(left, right[half] as Local<'v128'>, accumulator));
        });
      });
      if (layout === 'columns') f.set(p.a, i32.add(p.a, p.aStride));
    };
    const advanceRows = (steps: number): void => {
      if (layout === 'rows') for (const pointer of pointers) f.set(pointer, i32.add(pointer, 4 * steps));
    };

    const row = f.local('i32', 'row');
    const forEachRow = (body: (pair: readonly Local<'v128'>[]) => void): void => {
      f.set(row, p.c);
      for (const pair of accumulators) {
        body(pair);
        f.set(row, i32.add(row, p.cStride));
      }
    };
    f.if(p.fromC, () => {
      forEachRow((pair) =>
        pair.forEach((accumulator, half) => f.set(accumulator, v128.load(row, half * VECTOR_BYTES))),
      );
    });
    f.countDown(p.k, UNROLL, () => {
      for (let unrolled = 0; unrolled < UNROLL; unrolled += 1) step(unrolled);
      advanceRows(UNROLL);
    });
    f.countDown(p.k, 1, () => {
      step(0);
      advanceRows(1);
    });
    forEachRow((pair) => f.do(...pair.map((accumulator, half) => v128.store(row, accumulator, half * VECTOR_BYTES))));
  });
}
