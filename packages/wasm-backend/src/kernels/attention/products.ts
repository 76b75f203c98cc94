/**
 * The matrix products inside a block of attention: C [m, columns] from A and a panel B [k, columns],
 *
 *   C[i, j] = start + sum over p of A[i, p] * B[p, j],
 *
 * start 0 or C[i, j]. Columns are the width of a panel, so that no product has an edge in that direction. A is read as it lies,
 * one number at a time into all lanes:
 * - `rows`: A[i, p] at a + i * aStride + 4 * p: keys against queries, and scores against rows of queries;
 * - `columns`: A[i, p] at a + p * aStride + 4 * i: the transpose of values or keys.
 *
 * Every element is one chain of multiply-adds in the order of p, whatever the tile, so that all tiers that fuse agree in every
 * bit.
 */
import { i32, v128 } from '../../emit/index.js';
import type { FunctionReference, Local } from '../../emit/index.js';
import type { KernelContext } from '../host.js';
import type { Tier } from '../tier.js';
import { vectorConstant } from '../vector-loop.js';

/** How A lies in memory; see the header. */
export type LayoutA = 'rows' | 'columns';

/** What the sums start from. */
export type Start = 'zero' | 'accumulate';

/** Columns of a panel. */
export type PanelColumns = 4 | 8 | 16;

export interface ProductForm {
  readonly layout: LayoutA;
  readonly start: Start;
  readonly columns: PanelColumns;
}

/**
 * Rows of the register tiles for each width that a tier has tiles of, tallest first; a wider panel is multiplied half by half.
 * V8 has 15 vector registers, of 128 bits, or of 256 where pairs are joined: as many accumulators as leave room for a row of
 * B, a number of A and, unfused, a product. Tiles of 8 rows are as many chains as hide the latency of a multiply-add.
 */
const TILE_ROWS: Readonly<Record<Tier, Readonly<Partial<Record<PanelColumns, readonly number[]>>>>> = {
  simd128: { 8: [5, 2, 1] },
  relaxed: { 8: [6, 4, 2, 1] },
  revectorized: { 8: [8, 4, 2, 1], 16: [6, 4, 2, 1] },
};

/** Steps of p per round; V8 checks for interrupts once a round. */
const UNROLL = 4;
const VECTOR_BYTES = 16;

const TILE_PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  c: 'i32',
  cStride: 'i32',
  k: 'i32',
} as const;

const nameOf = ({ layout, start, columns }: ProductForm): string => `attention_${layout}_${start}_${columns}`;

/** One register tile of `rows` rows. */
function emitTile(context: KernelContext, form: ProductForm, rows: number): FunctionReference<'void'> {
  const { layout, start, columns } = form;
  const signature = {
    name: `${nameOf(form)}_tile${rows}`,
    parameters: TILE_PARAMETERS,
    result: 'void',
    exported: false,
  } as const;
  return context.module.function(signature, (f, p) => {
    const vectors = Array.from({ length: columns / 4 }, (_, j) => j);
    const accumulators = Array.from({ length: rows }, () => vectors.map(() => f.local('v128', 'sum')));
    const right = vectors.map(() => f.local('v128', 'right'));
    const left = f.local('v128', 'left');
    const pointers: Local<'i32'>[] = [p.a];
    if (layout === 'rows')
      for (let i = 1; i < rows; i += 1) pointers.push(f.let('row', i32.add(pointers[i - 1]!, p.aStride)));

    const row = f.local('i32', 'row');
    const forEachRow = (body: (sums: readonly Local<'v128'>[]) => void): void => {
      f.set(row, p.c);
      accumulators.forEach((sums, i) => {
        if (i > 0) f.set(row, i32.add(row, p.cStride));
        body(sums);
      });
    };
    if (start === 'accumulate') {
      forEachRow((sums) => sums.forEach((sum, j) => f.set(sum, v128.load(row, j * VECTOR_BYTES))));
    } else {
      const zero = vectorConstant(f, 'zero', 0);
      for (const sum of accumulators.flat()) f.set(sum, zero);
    }
    const step = (copy: number): void => {
      right.forEach((local, j) => f.set(local, v128.load(p.b, j * VECTOR_BYTES)));
      f.set(p.b, i32.add(p.b, p.bStride));
      accumulators.forEach((sums, i) => {
        const [pointer, offset] = layout === 'rows' ? [pointers[i]!, 4 * copy] : [p.a, 4 * i];
        f.set(left, v128.load32Splat(pointer, offset));
        sums.forEach((sum, j) => f.set(sum, context.arithmetic.multiplyAdd(left, right[j]!, sum)));
      });
      if (layout === 'columns') f.set(p.a, i32.add(p.a, p.aStride));
    };
    for (const copies of [UNROLL, 1]) {
      f.countDown(p.k, copies, () => {
        for (let copy = 0; copy < copies; copy += 1) step(copy);
        if (layout === 'rows') for (const pointer of pointers) f.set(pointer, i32.add(pointer, 4 * copies));
      });
    }
    forEachRow((sums) => f.do(...sums.map((sum, j) => v128.store(row, sum, j * VECTOR_BYTES))));
  });
}

/** The product of m rows: (a, aStride, b, bStride, c, cStride, k, m), strides in bytes. */
export function emitProduct(context: KernelContext, form: ProductForm): FunctionReference<'void'> {
  const { layout, columns } = form;
  const heights = TILE_ROWS[context.tier][columns];
  const half = heights ? undefined : emitProduct(context, { ...form, columns: (columns / 2) as PanelColumns });
  const tiles = (heights ?? []).map((rows) => [rows, emitTile(context, form, rows)] as const);
  const parameters = { ...TILE_PARAMETERS, m: 'i32' } as const;
  const signature = { name: nameOf(form), parameters, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const common = [p.a, p.aStride, p.b, p.bStride, p.c, p.cStride, p.k] as const;
    if (half) {
      f.callVoid(half, ...common, p.m);
      const [b, c] = [i32.add(p.b, columns * 2), i32.add(p.c, columns * 2)];
      f.callVoid(half, p.a, p.aStride, b, p.bStride, c, p.cStride, p.k, p.m);
      return;
    }
    for (const [rows, tile] of tiles) {
      f.countDown(p.m, rows, () => {
        f.callVoid(tile, ...common);
        f.set(p.a, i32.add(p.a, layout === 'rows' ? i32.mul(p.aStride, rows) : 4 * rows));
        f.set(p.c, i32.add(p.c, i32.mul(p.cStride, rows)));
      });
    }
  });
}
