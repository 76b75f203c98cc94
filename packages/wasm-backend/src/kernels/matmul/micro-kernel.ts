/**
 * The innermost kernel of the matrix product: one register tile,
 *
 *   C[i, j] = start + sum over p of A[i, p] * B[p, j]      for i < rows, j < columns of the tier's tile,
 *
 * where start is C[i, j] or 0. The sum is one chain of multiply-adds in the order of p, so every element has the same bits
 * whatever the tile, block or tier-mate it was computed in.
 *
 * Per step p: the vectors of one row of a panel of B, and per row one splat load of A and a multiply-add with each of them;
 * no shuffles. Neighbouring vectors are loaded and stored off one address, so that V8 can join them. A comes in one of two
 * layouts:
 * - `rows`: A[i, p] at a + i * aStride + 4 * p (row-major A);
 * - `packed`: A[i, p] at a + 4 * (p * rows + i).
 */
import { i32, v128 } from '../../emit/index.js';
import type { Expression, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { TILES } from './blocking.js';

/** How A lies in memory; see the header. */
export type LayoutA = 'rows' | 'packed';

/** Steps of p per round of the main loop; V8 checks for interrupts once per round. */
const UNROLL = 4;

const VECTOR_BYTES = 16;

const PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  c: 'i32',
  cStride: 'i32',
  k: 'i32',
  /** Not zero: start from C, else from 0. */
  fromC: 'i32',
} as const;

const listOf = <T>(length: number, entry: (index: number) => T): T[] => Array.from({ length }, (_, i) => entry(i));

/** Emits the micro-kernel for `rows` rows. */
export function emitMicroKernel(context: KernelContext, layout: LayoutA, rows: number): FunctionReference<'void'> {
  const { columns } = TILES[context.tier];
  const name = `matmulTile${rows}x${columns}${layout}`;
  return context.module.function({ name, parameters: PARAMETERS, result: 'void', exported: false }, (f, p) => {
    const vectors = columns / 4;
    const accumulators = listOf(rows, () => listOf(vectors, () => f.local('v128', 'accumulator')));
    const left = f.local('v128', 'left');
    const right = listOf(vectors, () => f.local('v128', 'right'));
    const pointers: Local<'i32'>[] = [p.a];
    if (layout === 'rows') {
      for (let i = 1; i < rows; i += 1) pointers.push(f.let('rowOfA', i32.add(pointers[i - 1]!, p.aStride)));
    }
    const elementOfA = (i: number, step: number): Expression<'v128'> =>
      layout === 'rows'
        ? v128.load32Splat(pointers[i]!, step * F32_BYTES)
        : v128.load32Splat(p.a, (step * rows + i) * F32_BYTES);

    const steps = (count: number): void => {
      for (let step = 0; step < count; step += 1) {
        right.forEach((vector, j) => f.set(vector, v128.load(p.b, step * columns * F32_BYTES + j * VECTOR_BYTES)));
        accumulators.forEach((row, i) => {
          f.set(left, elementOfA(i, step));
          row.forEach((sum, j) => f.set(sum, context.arithmetic.multiplyAdd(left, right[j]!, sum)));
        });
      }
      f.set(p.b, i32.add(p.b, count * columns * F32_BYTES));
      const advance = count * F32_BYTES * (layout === 'rows' ? 1 : rows);
      for (const pointer of pointers) f.set(pointer, i32.add(pointer, advance));
    };

    const rowOfC = f.local('i32', 'rowOfC');
    const forEachRow = (body: (row: readonly Local<'v128'>[]) => void): void => {
      f.set(rowOfC, p.c);
      for (const row of accumulators) {
        body(row);
        f.set(rowOfC, i32.add(rowOfC, p.cStride));
      }
    };
    f.if(p.fromC, () => {
      forEachRow((row) => row.forEach((sum, j) => f.set(sum, v128.load(rowOfC, j * VECTOR_BYTES))));
    });
    f.countDown(p.k, UNROLL, () => steps(UNROLL));
    f.countDown(p.k, 1, () => steps(1));
    // The last vector first: so V8 writes two joined vectors once, and not the first of them by itself before.
    forEachRow((row) => f.do(...row.map((sum, j) => v128.store(rowOfC, sum, j * VECTOR_BYTES)).toReversed()));
  });
}
