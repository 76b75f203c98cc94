/**
 * Matrix product of f32 matrices in row-major order, all four transposes:
 *
 *   C[m, n] = op(A) · op(B)      or      C += op(A) · op(B),
 *
 * op(A) is A[m, k], or the transpose of A[k, m]; op(B) is B[k, n], or the transpose of B[n, k]. Batches are loops of the
 * caller. C must not overlap A, B or the scratch.
 *
 * Structure (Goto and van de Geijn, see blocking.ts): for blocks of n, for blocks of k, pack B into panels; for blocks of
 * m, for panels, for tiles of rows: micro-kernel. A is not packed: tiles read it through row pointers (a transposed A with
 * long rows is copied in blocks). B is read in place when it is in row order and there are few rows of A, else packed.
 *
 * Every element of C is one chain of multiply-adds in the order of k, starting from 0 (or from C). Blocks carry the chain
 * through C itself, so the bits of the result depend on the tier alone, not on the sizes, the blocking or the strides.
 */
import { f32, i32, memory, select } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local, Operand } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext, KernelHost } from '../host.js';
import {
  BLOCK_COLUMNS,
  BLOCK_DEPTH,
  BLOCK_ROWS,
  COPY_A_MINIMUM_STRIDE_BYTES,
  EDGE_TILE_BYTES,
  matmulScratchBytes,
  packedBytes,
  PACK_B_MINIMUM_ROWS,
  TILE_COLUMNS,
  TILE_ROWS,
} from './blocking.js';
import { emitMicroKernel } from './micro-kernel.js';
import type { LayoutA } from './micro-kernel.js';
import { emitPacking } from './packing.js';
import type { Packing } from './packing.js';

/** Operands of a matrix product. Offsets are in bytes, sizes and strides in elements. */
export interface MatmulArguments {
  /** A: [m, k], or [k, m] with `transposeA`. */
  readonly a: number;
  /** B: [k, n], or [n, k] with `transposeB`. */
  readonly b: number;
  /** C: [m, n]. */
  readonly c: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Add to C instead of overwriting it. */
  readonly accumulate?: boolean;
  /** `matmulScratchBytes(m, n, k)` bytes of scratch. */
  readonly scratch: number;
  /** Elements between stored rows of A; default: its stored columns. */
  readonly rowStrideA?: number;
  /** Elements between stored rows of B; default: its stored columns. */
  readonly rowStrideB?: number;
  /** Elements between rows of C; default n. */
  readonly rowStrideC?: number;
}

/** The matrix product bound to a memory. */
export interface MatmulKernels {
  /** Computes C = op(A)·op(B) or C += op(A)·op(B); see the file header for order and exactness. */
  matmul(operands: MatmulArguments): void;
  /** Scratch bytes that `matmul` needs for these sizes. */
  matmulScratchBytes(m: number, n: number, k: number): number;
}

/** How the driver gets at B. */
const LAYOUT_B = { inPlace: 0, rows: 1, transposed: 2 } as const;

const DRIVER: Readonly<Record<LayoutA, string>> = { rows: 'matmulRowsA', columns: 'matmulColumnsA' };

/** Emits the micro-kernels, the packing and one driver per layout of A. */
export function emitMatmul(context: KernelContext): void {
  const packing = emitPacking(context);
  for (const layout of ['rows', 'columns'] as const) {
    const tiles = Array.from({ length: TILE_ROWS[context.tier] }, (_, i) => emitMicroKernel(context, layout, i + 1));
    const firstTile = context.module.table(tiles);
    const strips = {
      whole: emitStrip(context, layout, tiles, firstTile),
      edge: emitEdgeStrip(context, layout, tiles, firstTile),
    };
    emitDriver(context, layout, packing, strips);
  }
}

/** Binds the matrix product to a memory. */
export function bindMatmul(host: KernelHost): MatmulKernels {
  const driver = { rows: host.kernel(DRIVER.rows), columns: host.kernel(DRIVER.columns) };
  return {
    matmulScratchBytes,
    matmul(operands) {
      const { a, b, c, m, n, k, scratch, transposeA = false, transposeB = false, accumulate = false } = operands;
      const [rowsA, columnsA] = transposeA ? [k, m] : [m, k];
      const [rowsB, columnsB] = transposeB ? [n, k] : [k, n];
      const { rowStrideA = columnsA, rowStrideB = columnsB, rowStrideC = n } = operands;
      host.checkSize('matmul m', m);
      host.checkSize('matmul n', n);
      host.checkSize('matmul k', k);
      host.checkRange('matmul a', a, extent(rowsA, columnsA, rowStrideA));
      host.checkRange('matmul b', b, extent(rowsB, columnsB, rowStrideB));
      host.checkRange('matmul c', c, extent(m, n, rowStrideC));
      host.checkRange('matmul scratch', scratch, matmulScratchBytes(m, n, k), 1);
      if (m === 0 || n === 0) return;
      const unpacked = m < PACK_B_MINIMUM_ROWS ? LAYOUT_B.inPlace : LAYOUT_B.rows;
      const layoutB = transposeB ? LAYOUT_B.transposed : unpacked;
      const strides = [rowStrideA, rowStrideB, rowStrideC].map((stride) => stride * F32_BYTES) as [number, number, number];
      const copyA = transposeA && strides[0] >= COPY_A_MINIMUM_STRIDE_BYTES && n > TILE_COLUMNS;
      const panels = scratch + matmulScratchBytes(m, n, k) - packedBytes(n, k);
      const run = transposeA ? driver.columns : driver.rows;
      run(a, strides[0], b, strides[1], layoutB, c, strides[2], m, n, k, accumulate ? 1 : 0, scratch, panels, copyA ? 1 : 0);
    },
  };
}

/** Elements from the first to the last of a [rows, columns] matrix whose rows are `stride` elements apart. */
function extent(rows: number, columns: number, stride: number): number {
  if (rows > 0 && stride < columns) {
    throw new RangeError(`matmul: a row stride of ${stride} elements is less than the ${columns} columns of the matrix`);
  }
  return rows === 0 ? 0 : (rows - 1) * stride + columns;
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

const DRIVER_PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  layoutB: 'i32',
  c: 'i32',
  cStride: 'i32',
  m: 'i32',
  n: 'i32',
  k: 'i32',
  accumulate: 'i32',
  /** Edge tile, then a block of A. */
  scratch: 'i32',
  /** Packed block of B. */
  panels: 'i32',
  /** Not zero: copy blocks of A (layout `columns`) into scratch. */
  copyA: 'i32',
} as const;

/** The blocked loops over n, k and m. */
function emitDriver(
  context: KernelContext,
  layout: LayoutA,
  packing: Packing,
  strips: { readonly whole: FunctionReference<'void'>; readonly edge: FunctionReference<'void'> },
): void {
  const signature = { name: DRIVER[layout], parameters: DRIVER_PARAMETERS, result: 'void', exported: true } as const;
  context.module.function(signature, (f, p) => {
    emitEmptySum(f, p);
    const transposed = f.let('transposed', i32.eq(p.layoutB, LAYOUT_B.transposed));
    const inPlace = f.let('inPlace', i32.eq(p.layoutB, LAYOUT_B.inPlace));
    // B[p, j] is at b + p * strideK + j * strideN.
    const four = f.let('four', i32.const(F32_BYTES));
    const strideK = f.let('strideK', select(four, p.bStride, transposed));
    const strideN = f.let('strideN', select(p.bStride, four, transposed));

    const [jc, pc, ic, jr] = ['jc', 'pc', 'ic', 'jr'].map((name) => f.local('i32', name)) as [Index, Index, Index, Index];
    const columns = f.local('i32', 'columns');
    const wholeColumns = f.local('i32', 'wholeColumns');
    const depth = f.local('i32', 'depth');
    const rows = f.local('i32', 'rows');
    const fromC = f.local('i32', 'fromC');
    const bBlock = f.local('i32', 'bBlock');
    const aBlock = f.local('i32', 'aBlock');
    const aStride = f.local('i32', 'aStride');
    const step = f.local('i32', 'step');
    const cTile = f.local('i32', 'cTile');
    const panel = f.local('i32', 'panel');
    const panelBytes = f.local('i32', 'panelBytes');
    const edgePanel = f.local('i32', 'edgePanel');

    const pack = (): void => {
      const wholePanels = [p.panels, bBlock, p.bStride, depth, wholeColumns] as const;
      f.if(i32.eq(p.layoutB, LAYOUT_B.rows), () => f.callVoid(packing.rows, ...wholePanels));
      f.if(transposed, () => f.callVoid(packing.transposed, ...wholePanels));
      f.set(edgePanel, i32.add(p.panels, i32.mul(i32.shl(wholeColumns, 2), depth)));
      f.if(i32.ne(columns, wholeColumns), () => {
        const edge = i32.add(bBlock, i32.mul(wholeColumns, strideN));
        f.callVoid(packing.edge, edgePanel, edge, strideK, strideN, depth, i32.sub(columns, wholeColumns));
      });
    };
    const copyBlockOfA = (): void => {
      const target = f.let('target', i32.add(p.scratch, EDGE_TILE_BYTES));
      f.set(aStride, i32.shl(rows, 2));
      f.for({ index: step, from: 0, below: depth, step: 1 }, () => {
        f.do(memory.copy(target, aBlock, aStride));
        f.set(target, i32.add(target, aStride));
        f.set(aBlock, i32.add(aBlock, p.aStride));
      });
      f.set(aBlock, i32.add(p.scratch, EDGE_TILE_BYTES));
    };
    const multiplyBlock = (): void => {
      const fromRow = layout === 'rows' ? i32.mul(ic, p.aStride) : i32.shl(ic, 2);
      const fromDepth = layout === 'rows' ? i32.shl(pc, 2) : i32.mul(pc, p.aStride);
      f.set(aBlock, i32.add(p.a, i32.add(fromRow, fromDepth)));
      f.set(aStride, p.aStride);
      if (layout === 'columns') f.if(p.copyA, copyBlockOfA);
      f.set(cTile, i32.add(p.c, i32.add(i32.mul(ic, p.cStride), i32.shl(jc, 2))));
      f.set(panel, select(bBlock, p.panels, inPlace));
      f.set(panelBytes, select(i32.const(TILE_COLUMNS * F32_BYTES), i32.mul(depth, TILE_COLUMNS * F32_BYTES), inPlace));
      const panelStride = select(p.bStride, i32.const(TILE_COLUMNS * F32_BYTES), inPlace);
      f.for({ index: jr, from: 0, below: wholeColumns, step: TILE_COLUMNS }, () => {
        f.callVoid(strips.whole, aBlock, aStride, panel, panelStride, cTile, p.cStride, depth, fromC, rows);
        f.set(panel, i32.add(panel, panelBytes));
        f.set(cTile, i32.add(cTile, TILE_COLUMNS * F32_BYTES));
      });
      f.if(i32.ne(columns, wholeColumns), () => {
        const common = [aBlock, aStride, edgePanel, TILE_COLUMNS * F32_BYTES, cTile, p.cStride, depth, fromC, rows] as const;
        f.callVoid(strips.edge, ...common, i32.sub(columns, wholeColumns), p.scratch);
      });
    };

    f.for({ index: jc, from: 0, below: p.n, step: BLOCK_COLUMNS }, () => {
      f.set(columns, minimum(i32.sub(p.n, jc), BLOCK_COLUMNS));
      f.set(wholeColumns, i32.and(columns, -TILE_COLUMNS));
      f.for({ index: pc, from: 0, below: p.k, step: BLOCK_DEPTH }, () => {
        f.set(depth, minimum(i32.sub(p.k, pc), BLOCK_DEPTH));
        f.set(fromC, i32.or(p.accumulate, pc));
        f.set(bBlock, i32.add(p.b, i32.add(i32.mul(pc, strideK), i32.mul(jc, strideN))));
        pack();
        f.for({ index: ic, from: 0, below: p.m, step: BLOCK_ROWS }, () => {
          f.set(rows, minimum(i32.sub(p.m, ic), BLOCK_ROWS));
          multiplyBlock();
        });
      });
    });
  });
}

type Index = Local<'i32'>;
type DriverParameters = { readonly [K in keyof typeof DRIVER_PARAMETERS]: Index };

/** k = 0: the sum is empty, so C is zero unless it is accumulated into. */
function emitEmptySum(f: FunctionBuilder, p: DriverParameters): void {
  const row = f.local('i32', 'row');
  f.if(i32.eqz(i32.or(p.k, p.accumulate)), () => {
    f.for({ index: row, from: 0, below: p.m, step: 1 }, () => {
      f.do(memory.fill(i32.add(p.c, i32.mul(row, p.cStride)), 0, i32.shl(p.n, 2)));
    });
  });
}

function minimum(value: Expression<'i32'>, limit: number): Expression<'i32'> {
  return select(value, i32.const(limit), i32.ltUnsigned(value, limit));
}
