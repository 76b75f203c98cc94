/**
 * One panel of B against m rows of A: the loop over register tiles. Rows are shared out evenly, so that tiles differ in
 * height by at most one row (13 rows are 5, 4 and 4, not 6, 6 and 1): low tiles leave the multipliers idle. Nothing is read or
 * written outside A and C.
 */
import { f32, i32, select } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local, Operand } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { TILES } from './blocking.js';
import { emitMicroKernel } from './micro-kernel.js';
import type { LayoutA } from './micro-kernel.js';

/** The two strip functions of a layout of A. */
export interface Strips {
  /** (a, aStride, skip, b, c, cStride, k, fromC, m): a whole panel, straight into C. */
  readonly whole: FunctionReference<'void'>;
  /** The same and (columns, edge): fewer columns than a panel has, through m rows of a panel's width in scratch. */
  readonly edge: FunctionReference<'void'>;
}

const STRIP_PARAMETERS = {
  a: 'i32',
  /** Bytes per row of A, of the whole chunk. */
  aStride: 'i32',
  /** Bytes of every row of A that come before this depth. */
  skip: 'i32',
  b: 'i32',
  c: 'i32',
  cStride: 'i32',
  k: 'i32',
  fromC: 'i32',
  m: 'i32',
} as const;

/** Emits the micro-kernels of all heights and the strips over them. */
export function emitStrips(context: KernelContext, layout: LayoutA): Strips {
  const whole = emitStrip(context, layout);
  return { whole, edge: emitEdgeStrip(context, layout, whole) };
}

/** Rows of the tiles that m rows are shared out over: `higher` tiles of `rows` + 1 rows, then tiles of `rows`. */
export interface TileRun {
  readonly tiles: Local<'i32'>;
  readonly rows: Local<'i32'>;
  readonly higher: Local<'i32'>;
}

/** Shares out m > 0 rows over as few tiles as hold them. */
export function shareOutRows(f: FunctionBuilder, m: Operand<'i32'>, tallest: number): TileRun {
  const tiles = f.let('tiles', i32.divUnsigned(i32.add(m, tallest - 1), tallest));
  const rows = f.let('rowsPerTile', i32.divUnsigned(m, tiles));
  return { tiles, rows, higher: f.let('higherTiles', i32.sub(m, i32.mul(tiles, rows))) };
}

function emitStrip(context: KernelContext, layout: LayoutA): FunctionReference<'void'> {
  const { module, tier } = context;
  const tallest = TILES[tier].rows;
  const kernels = Array.from({ length: tallest }, (_, i) => emitMicroKernel(context, layout, i + 1));
  const first = module.table(kernels);
  const like = kernels.at(-1) as FunctionReference<'void'>;
  const name = `matmulStrip${layout}`;
  return module.function({ name, parameters: STRIP_PARAMETERS, result: 'void', exported: false }, (f, p) => {
    const run = shareOutRows(f, p.m, tallest);
    const rows = f.let('rows', i32.add(run.rows, i32.ne(run.higher, 0)));
    f.loop((again) => {
      const kernel = i32.add(rows, first - 1);
      const a = i32.add(p.a, layout === 'rows' ? p.skip : i32.mul(p.skip, rows));
      f.callIndirectVoid(like, kernel, a, p.aStride, p.b, p.c, p.cStride, p.k, p.fromC);
      f.set(p.a, i32.add(p.a, i32.mul(rows, p.aStride)));
      f.set(p.c, i32.add(p.c, i32.mul(rows, p.cStride)));
      f.set(run.higher, i32.sub(run.higher, 1));
      f.if(i32.eqz(run.higher), () => f.set(rows, run.rows));
      f.set(run.tiles, i32.sub(run.tiles, 1));
      f.branchIf(again, run.tiles);
    });
  });
}

/** As the strip, for the last columns: they are summed up in scratch, beside columns of zeros. */
function emitEdgeStrip(
  context: KernelContext,
  layout: LayoutA,
  strip: FunctionReference<'void'>,
): FunctionReference<'void'> {
  const rowBytes = TILES[context.tier].columns * F32_BYTES;
  const name = `matmulEdgeStrip${layout}`;
  const parameters = { ...STRIP_PARAMETERS, columns: 'i32', edge: 'i32' } as const;
  return context.module.function({ name, parameters, result: 'void', exported: false }, (f, p) => {
    const [row, column, inEdge, inC, edgeRow, rowOfC] = ['row', 'column', 'inEdge', 'inC', 'edgeRow', 'rowOfC'].map(
      (local) => f.local('i32', local),
    ) as [Index, Index, Index, Index, Index, Index];
    const forEachElement = (body: () => void): void => {
      f.set(edgeRow, p.edge);
      f.set(rowOfC, p.c);
      f.for({ index: row, from: 0, below: p.m, step: 1 }, () => {
        f.set(inEdge, edgeRow);
        f.set(inC, rowOfC);
        f.for({ index: column, from: 0, below: p.columns, step: 1 }, () => {
          body();
          f.set(inEdge, i32.add(inEdge, F32_BYTES));
          f.set(inC, i32.add(inC, F32_BYTES));
        });
        f.set(edgeRow, i32.add(edgeRow, rowBytes));
        f.set(rowOfC, i32.add(rowOfC, p.cStride));
      });
    };
    f.if(p.fromC, () => forEachElement(() => f.do(f32.store(inEdge, f32.load(inC)))));
    f.callVoid(strip, p.a, p.aStride, p.skip, p.b, p.edge, rowBytes, p.k, p.fromC, p.m);
    forEachElement(() => f.do(f32.store(inC, f32.load(inEdge))));
  });
}

type Index = Local<'i32'>;

/** The smaller of a value and a limit, unsigned. */
export function minimum(value: Expression<'i32'>, limit: Operand<'i32'>): Expression<'i32'> {
  const other = typeof limit === 'number' ? i32.const(limit) : limit;
  return select(value, other, i32.ltUnsigned(value, other));
}
