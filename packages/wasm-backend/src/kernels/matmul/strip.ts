/**
 * One panel of B (8 columns) against m rows of A: the loop over register tiles. The table holds the tiles of 1, 2, ... rows,
 * so the last rows run in a tile of exactly their number and nothing is read or written outside A and C.
 */
import { f32, i32, select } from '../../emit/index.js';
import type { Expression, FunctionReference, Operand } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { TILE_COLUMNS, TILE_ROWS } from './blocking.js';
import { emitMicroKernel } from './micro-kernel.js';
import type { LayoutA } from './micro-kernel.js';

/** The two strip functions of a layout of A. */
export interface Strips {
  /** (a, aStride, b, bStride, c, cStride, k, fromC, m): eight columns, straight into C. */
  readonly whole: FunctionReference<'void'>;
  /** The same and (columns, tile): fewer than eight columns, through a tile in scratch. */
  readonly edge: FunctionReference<'void'>;
}

/** Emits the micro-kernels of all heights and the strips over them. */
export function emitStrips(context: KernelContext, layout: LayoutA): Strips {
  const tiles = Array.from({ length: TILE_ROWS[context.tier] }, (_, i) => emitMicroKernel(context, layout, i + 1));
  const firstTile = context.module.table(tiles);
  return {
    whole: emitStrip(context, layout, tiles, firstTile),
    edge: emitEdgeStrip(context, layout, tiles, firstTile),
  };
}

const STRIP_PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  c: 'i32',
  cStride: 'i32',
  k: 'i32',
  fromC: 'i32',
  m: 'i32',
} as const;

/** Bytes from one tile of rows of A to the next. */
function tileAdvance(layout: LayoutA, rows: Operand<'i32'>, aStride: Operand<'i32'>): Expression<'i32'> {
  return layout === 'rows' ? i32.mul(rows, aStride) : i32.shl(rows, 2);
}

/** Multiplies m rows of A with one whole panel of B. */
function emitStrip(
  context: KernelContext,
  layout: LayoutA,
  tiles: readonly FunctionReference<'void'>[],
  firstTile: number,
): FunctionReference<'void'> {
  const name = `matmulStrip${layout}`;
  const tallest = tiles.at(-1) as FunctionReference<'void'>;
  return context.module.function({ name, parameters: STRIP_PARAMETERS, result: 'void', exported: false }, (f, p) => {
    const tileArguments = [p.a, p.aStride, p.b, p.bStride, p.c, p.cStride, p.k, p.fromC] as const;
    const advanceA = f.let('advanceA', tileAdvance(layout, tiles.length, p.aStride));
    const advanceC = f.let('advanceC', i32.mul(p.cStride, tiles.length));
    f.block((done) => {
      f.loop((again) => {
        f.branchIf(done, i32.ltUnsigned(p.m, tiles.length));
        f.callVoid(tallest, ...tileArguments);
        f.set(p.a, i32.add(p.a, advanceA));
        f.set(p.c, i32.add(p.c, advanceC));
        f.set(p.m, i32.sub(p.m, tiles.length));
        f.branch(again);
      });
    });
    // The table holds the tile of r rows at firstTile + r - 1.
    f.if(p.m, () => f.callIndirectVoid(tallest, i32.add(p.m, firstTile - 1), ...tileArguments));
  });
}

/** As the strip, for the last 1 to 7 columns: the tile is computed whole in scratch and its columns are copied. */
function emitEdgeStrip(
  context: KernelContext,
  layout: LayoutA,
  tiles: readonly FunctionReference<'void'>[],
  firstTile: number,
): FunctionReference<'void'> {
  const name = `matmulEdgeStrip${layout}`;
  const parameters = { ...STRIP_PARAMETERS, columns: 'i32', tile: 'i32' } as const;
  const tallest = tiles.at(-1) as FunctionReference<'void'>;
  return context.module.function({ name, parameters, result: 'void', exported: false }, (f, p) => {
    const rows = f.local('i32', 'rows');
    const row = f.local('i32', 'row');
    const column = f.local('i32', 'column');
    const inTile = f.local('i32', 'inTile');
    const inC = f.local('i32', 'inC');
    const rowBytes = TILE_COLUMNS * F32_BYTES;
    const forEachElement = (body: () => void): void => {
      f.for({ index: row, from: 0, below: rows, step: 1 }, () => {
        f.set(inTile, i32.add(p.tile, i32.mul(row, rowBytes)));
        f.set(inC, i32.add(p.c, i32.mul(row, p.cStride)));
        f.for({ index: column, from: 0, below: p.columns, step: 1 }, () => {
          body();
          f.set(inTile, i32.add(inTile, F32_BYTES));
          f.set(inC, i32.add(inC, F32_BYTES));
        });
      });
    };
    f.loop((again) => {
      f.set(rows, minimum(p.m, tiles.length));
      f.if(p.fromC, () => forEachElement(() => f.do(f32.store(inTile, f32.load(inC)))));
      const tileArguments = [p.a, p.aStride, p.b, p.bStride, p.tile, rowBytes, p.k, p.fromC] as const;
      f.callIndirectVoid(tallest, i32.add(rows, firstTile - 1), ...tileArguments);
      forEachElement(() => f.do(f32.store(inC, f32.load(inTile))));
      f.set(p.a, i32.add(p.a, tileAdvance(layout, rows, p.aStride)));
      f.set(p.c, i32.add(p.c, i32.mul(rows, p.cStride)));
      f.set(p.m, i32.sub(p.m, rows));
      f.branchIf(again, p.m);
    });
  });
}

/** The smaller of a value and a constant, unsigned. */
export function minimum(value: Expression<'i32'>, limit: number): Expression<'i32'> {
  return select(value, i32.const(limit), i32.ltUnsigned(value, limit));
}
