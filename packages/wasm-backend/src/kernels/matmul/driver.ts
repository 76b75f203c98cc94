/**
 * The cells of a chunk of a product: blocks of C. A cell goes through the depth of the chunk in blocks, packs what it is told
 * to pack, multiplies its rows with its panels, and ends with the epilogue.
 *
 * Cells are numbered through the columns first, then down the rows, then through a batch: cells that follow each other share
 * their rows of A and of C, and with them the pages these lie in.
 */
import { i32, select } from '../../emit/index.js';
import type { FunctionBuilder, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { BLOCK_ROWS, TILES } from './blocking.js';
import { emitEpilogue } from './epilogue.js';
import { emitPackA } from './packing-a.js';
import { emitPackB } from './packing.js';
import { emitStrips, minimum } from './strip.js';

/** How cells get at A: rows as they lie, the whole chunk packed before, or columns that the cell packs block by block. */
export const MODE_A = { inPlace: 0, packed: 1, packColumns: 2 } as const;

/** How cells get at B: packed before, or packed by the cell from rows [k, n] or from a transpose [n, k]. */
export const MODE_B = { packed: 0, packRows: 1, packTransposed: 2 } as const;

/** The exported name of the cells. */
export const CELLS = 'matmulCells';

/** Parameters of `CELLS`: sizes in elements, strides in bytes. */
export const CELL_PARAMETERS = {
  first: 'i32',
  /** Of cells, at least 1. */
  count: 'i32',
  cellRows: 'i32',
  cellColumns: 'i32',
  /** Of the blocks that a cell goes through. */
  blockDepth: 'i32',
  /** Sizes of the chunk, none of them 0. */
  m: 'i32',
  n: 'i32',
  k: 'i32',
  a: 'i32',
  aStride: 'i32',
  modeA: 'i32',
  packedA: 'i32',
  b: 'i32',
  bStride: 'i32',
  modeB: 'i32',
  packedB: 'i32',
  panelStride: 'i32',
  c: 'i32',
  cStride: 'i32',
  /** Not zero: add to C. */
  fromC: 'i32',
  edges: 'i32',
  /** From one product of a batch to the next. */
  batchA: 'i32',
  batchB: 'i32',
  batchC: 'i32',
  batchScratch: 'i32',
  /** Sum of `EPILOGUE_PART`. */
  epilogue: 'i32',
  bias: 'i32',
  residual: 'i32',
  residualStride: 'i32',
} as const;

type Index = Local<'i32'>;
type Indices<Name extends string> = Readonly<Record<Name, Index>>;
type CellParameters = Indices<keyof typeof CELL_PARAMETERS>;

function indices<Name extends string>(f: FunctionBuilder, ...names: readonly Name[]): Indices<Name> {
  return Object.fromEntries(names.map((name) => [name, f.local('i32', name)])) as Indices<Name>;
}

/** Emits the cells and, for chunks, the packing of A and of B. */
export function emitDriver(context: KernelContext): void {
  const packA = emitPackA(context);
  const packB = emitPackB(context);
  const epilogue = emitEpilogue(context);
  const strips = [emitStrips(context, 'rows'), emitStrips(context, 'packed')] as const;
  const firstWhole = context.module.table(strips.map(({ whole }) => whole));
  const firstEdge = context.module.table(strips.map(({ edge }) => edge));
  const panelWidth = TILES[context.tier].columns;
  const panelRowBytes = panelWidth * F32_BYTES;

  const signature = { name: CELLS, parameters: CELL_PARAMETERS, result: 'void', exported: true } as const;
  context.module.function(signature, (f, p) => {
    const at = indices(f, 'row', 'column', 'a', 'b', 'c', 'packedA', 'panels', 'edge', 'residual');
    const sizes = indices(f, 'rows', 'columns', 'whole', 'depth', 'blockRows');
    const loop = indices(f, 'pc', 'ic', 'jc', 'fromC', 'a', 'aStride', 'skip', 'panels', 'panel', 'c');
    const isPacked = f.let('isPacked', i32.ne(p.modeA, MODE_A.inPlace));
    const placeCell = emitPlaceCell(f, p, at, sizes, panelWidth);

    const placeA = (): void => {
      f.set(loop.a, select(at.packedA, at.a, isPacked));
      f.set(loop.aStride, select(i32.shl(p.k, 2), p.aStride, isPacked));
      f.set(loop.skip, i32.shl(loop.pc, 2));
    };
    const packBlockOfA = (): void => {
      f.set(loop.a, at.packedA);
      f.set(loop.aStride, i32.shl(sizes.depth, 2));
      f.set(loop.skip, 0);
      const from = i32.add(at.a, i32.add(i32.mul(loop.pc, p.aStride), i32.shl(loop.ic, 2)));
      f.callVoid(packA, loop.a, from, p.aStride, sizes.blockRows, sizes.depth);
    };
    const placeB = (): void => {
      f.set(loop.panels, at.panels);
      f.if(
        i32.eq(p.modeB, MODE_B.packed),
        () => f.set(loop.panels, i32.add(loop.panels, i32.mul(loop.pc, panelRowBytes))),
        () => {
          const isTransposed = i32.eq(p.modeB, MODE_B.packTransposed);
          const from = i32.add(at.b, i32.mul(loop.pc, select(i32.const(F32_BYTES), p.bStride, isTransposed)));
          f.callVoid(packB, at.panels, p.panelStride, from, p.bStride, isTransposed, sizes.depth, sizes.columns);
        },
      );
    };
    const multiplyBlock = (): void => {
      f.set(loop.c, i32.add(at.c, i32.mul(loop.ic, p.cStride)));
      f.set(loop.panel, loop.panels);
      const { a, aStride, skip, panel, c, fromC } = loop;
      const strip = [a, aStride, skip, panel, c, p.cStride, sizes.depth, fromC, sizes.blockRows] as const;
      f.for({ index: loop.jc, from: 0, below: sizes.whole, step: panelWidth }, () => {
        f.callIndirectVoid(strips[0].whole, i32.add(isPacked, firstWhole), ...strip);
        f.set(panel, i32.add(panel, p.panelStride));
        f.set(c, i32.add(c, panelRowBytes));
      });
      f.if(i32.ne(sizes.columns, sizes.whole), () => {
        const edge = i32.add(at.edge, i32.mul(loop.ic, panelRowBytes));
        const last = i32.sub(sizes.columns, sizes.whole);
        f.callIndirectVoid(strips[0].edge, i32.add(isPacked, firstEdge), ...strip, last, edge);
      });
    };

    f.countDown(p.count, 1, () => {
      placeCell();
      f.for({ index: loop.pc, from: 0, below: p.k, step: p.blockDepth }, () => {
        f.set(sizes.depth, minimum(i32.sub(p.k, loop.pc), p.blockDepth));
        f.set(loop.fromC, i32.or(p.fromC, loop.pc));
        placeA();
        placeB();
        f.for({ index: loop.ic, from: 0, below: sizes.rows, step: BLOCK_ROWS }, () => {
          f.set(sizes.blockRows, minimum(i32.sub(sizes.rows, loop.ic), BLOCK_ROWS));
          f.if(i32.eq(p.modeA, MODE_A.packColumns), packBlockOfA);
          multiplyBlock();
          f.set(loop.a, i32.add(loop.a, i32.mul(sizes.blockRows, loop.aStride)));
        });
      });
      f.if(p.epilogue, () => {
        const bias = i32.add(p.bias, i32.shl(at.column, 2));
        const block = [at.c, p.cStride, sizes.rows, sizes.columns] as const;
        f.callVoid(epilogue, ...block, p.epilogue, bias, at.residual, p.residualStride);
      });
      f.set(p.first, i32.add(p.first, 1));
    });
  });
}

/** Emits what finds the place and the sizes of the cell at hand from its number. */
function emitPlaceCell(
  f: FunctionBuilder,
  p: CellParameters,
  at: Indices<'row' | 'column' | 'a' | 'b' | 'c' | 'packedA' | 'panels' | 'edge' | 'residual'>,
  sizes: Indices<'rows' | 'columns' | 'whole'>,
  panelWidth: number,
): () => void {
  const ceilDivide = (value: Index, by: Index): Index =>
    f.let('quotient', i32.divUnsigned(i32.sub(i32.add(value, by), 1), by));
  const across = ceilDivide(p.n, p.cellColumns);
  const perProduct = f.let('perProduct', i32.mul(ceilDivide(p.m, p.cellRows), across));
  const { product, rest, scratch } = indices(f, 'product', 'rest', 'scratch');
  return () => {
    f.set(product, i32.divUnsigned(p.first, perProduct));
    f.set(rest, i32.remUnsigned(p.first, perProduct));
    f.set(at.row, i32.mul(i32.divUnsigned(rest, across), p.cellRows));
    f.set(at.column, i32.mul(i32.remUnsigned(rest, across), p.cellColumns));
    f.set(sizes.rows, minimum(i32.sub(p.m, at.row), p.cellRows));
    f.set(sizes.columns, minimum(i32.sub(p.n, at.column), p.cellColumns));
    f.set(sizes.whole, i32.and(sizes.columns, -panelWidth));

    f.set(scratch, i32.mul(product, p.batchScratch));
    const fourRows = i32.shl(at.row, 2);
    const fourColumns = i32.shl(at.column, 2);
    const isColumns = i32.eq(p.modeA, MODE_A.packColumns);
    const isTransposed = i32.eq(p.modeB, MODE_B.packTransposed);
    f.set(at.a, i32.add(p.a, i32.mul(product, p.batchA)));
    f.set(at.a, i32.add(at.a, select(fourRows, i32.mul(at.row, p.aStride), isColumns)));
    f.set(at.b, i32.add(p.b, i32.mul(product, p.batchB)));
    f.set(at.b, i32.add(at.b, select(i32.mul(at.column, p.bStride), fourColumns, isTransposed)));
    f.set(at.c, i32.add(p.c, i32.mul(product, p.batchC)));
    f.set(at.c, i32.add(at.c, i32.add(i32.mul(at.row, p.cStride), fourColumns)));
    f.set(at.residual, i32.add(p.residual, i32.add(i32.mul(at.row, p.residualStride), fourColumns)));
    f.set(at.packedA, i32.add(i32.add(p.packedA, scratch), i32.mul(fourRows, p.k)));
    const panel = i32.mul(i32.divUnsigned(at.column, panelWidth), p.panelStride);
    f.set(at.panels, i32.add(i32.add(p.packedB, scratch), panel));
    f.set(at.edge, i32.add(i32.add(p.edges, scratch), i32.mul(at.row, panelWidth * F32_BYTES)));
  };
}
