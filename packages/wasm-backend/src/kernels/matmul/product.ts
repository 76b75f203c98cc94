/**
 * How a matrix product is put into jobs for the threads.
 *
 * For chunks of the depth, of the rows and of the columns: one job packs a transposed A, one packs B, one multiplies. Where the
 * product has few rows, or B has been packed before, there is none for B; where it has few columns of few rows (a batch of
 * small products) a whole product is a cell of one job. All of that is chosen by sizes and the number of threads, and the sum
 * of an element is always the same chain.
 */
import { F32_BYTES } from '../host.js';
import type { KernelHost } from '../host.js';
import {
  BLOCK_DEPTH,
  BLOCK_ROWS,
  CELL_COLUMNS,
  CHUNK_DEPTH,
  chunkColumns,
  chunkRows,
  LEAST_CELL_PRODUCTS,
  PACKING_CELL_COLUMNS,
  PACKING_CELL_ROWS,
  roundUp,
  scratchLayout,
  TILES,
  WIDEST_PANEL,
} from './blocking.js';
import type { GroupLayout, ScratchLayout } from './blocking.js';
import { CELL_PARAMETERS, CELLS, MODE_A, MODE_B } from './driver.js';
import { PACK_A } from './packing-a.js';
import { PACK_B } from './packing.js';

/** A product whose operands have been checked and are not empty: offsets and strides in bytes, sizes in elements. */
export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: number;
  readonly strideA: number;
  readonly transposeA: boolean;
  readonly b: number;
  readonly strideB: number;
  readonly transposeB: boolean;
  /** Where all of B lies in panels; undefined where it does not. */
  readonly packed: number | undefined;
  readonly c: number;
  readonly strideC: number;
  readonly accumulate: boolean;
  /** Sum of `EPILOGUE_PART`. */
  readonly epilogue: number;
  readonly bias: number;
  readonly residual: number;
  readonly strideResidual: number;
  readonly scratch: number;
}

/** Products whose matrices follow each other, a number of bytes apart. */
export interface Batch {
  readonly count: number;
  readonly strideA: number;
  readonly strideB: number;
  readonly strideC: number;
}

/** Multiply-adds, and packed elements, that are worth a part of their own: some 20 microseconds. */
const GRAIN_PRODUCTS = 2 ** 20;
const GRAIN_PACKED = 2 ** 14;

/** Cells for each thread, so that one that is late takes fewer. */
const CELLS_PER_THREAD = 4;

type CellValues = Readonly<Record<keyof typeof CELL_PARAMETERS, number>>;
const CELL_NAMES = Object.keys(CELL_PARAMETERS) as (keyof typeof CELL_PARAMETERS)[];

/** Runs products. */
export interface ProductRunner {
  /** One product. */
  run(product: Product): void;
  /** A batch of products, without packed weight and epilogue. */
  runGroups(product: Product, batch: Batch, layout: GroupLayout): void;
  /** Writes all panels of B. */
  pack(b: PanelSource, packed: number): void;
}

type PanelSource = Pick<Product, 'n' | 'k' | 'b' | 'strideB' | 'transposeB'>;

/** Sizes of cells; see blocking.ts. */
interface Cells {
  readonly rows: number;
  readonly columns: number;
}

/** Binds the jobs of products. */
export function bindProduct(host: KernelHost): ProductRunner {
  const [cellKernel, packAKernel, packBKernel] = [host.kernel(CELLS), host.kernel(PACK_A), host.kernel(PACK_B)];
  const tile = TILES[host.tier];
  const panelBytes = (depth: number): number => depth * tile.columns * F32_BYTES;

  const packPanels = ({ n, k, b, strideB, transposeB }: PanelSource, packed: number): void => {
    const perColumn = transposeB ? strideB : F32_BYTES;
    const panelStride = panelBytes(k);
    const division = { count: n, grain: Math.ceil(GRAIN_PACKED / k), multiple: tile.columns };
    host.divide(packBKernel, division, (from, size) => [
      packed + (from / tile.columns) * panelStride,
      panelStride,
      b + from * perColumn,
      strideB,
      transposeB ? 1 : 0,
      k,
      size,
    ]);
  };

  const packBlocks = ({ m, k, a, strideA }: Product, packedA: number, blockRows: number): void => {
    const division = { count: Math.ceil(m / blockRows), grain: Math.ceil(GRAIN_PACKED / (blockRows * k)) };
    host.divide(packAKernel, division, (from, size) => [from, size, blockRows, m, k, a, strideA, packedA]);
  };

  const runCells = (count: number, values: CellValues): void => {
    const perCell = values.cellRows * values.cellColumns * values.k;
    const list = CELL_NAMES.map((name) => values[name]);
    const [first, size] = [CELL_NAMES.indexOf('first'), CELL_NAMES.indexOf('count')];
    host.divide(cellKernel, { count, grain: Math.ceil(GRAIN_PRODUCTS / perCell) }, (from, length) => {
      const part = [...list];
      [part[first], part[size]] = [from, length];
      return part;
    });
  };

  /** Smaller cells where there would be too few of them for the threads. */
  const divided = (m: number, n: number, k: number, { rows, columns }: Cells, isRowDivided: boolean): Cells => {
    const wanted = host.threads === 1 ? 1 : CELLS_PER_THREAD * host.threads;
    const most = Math.min(wanted, Math.floor((m * n * k) / LEAST_CELL_PRODUCTS));
    const narrowest = Math.max(tile.columns, WIDEST_PANEL);
    let cells = { rows: Math.min(rows, m), columns: Math.min(columns, roundUp(n, narrowest)) };
    const count = (): number => Math.ceil(m / cells.rows) * Math.ceil(n / cells.columns);
    while (count() < most && cells.columns > narrowest)
      cells = { ...cells, columns: roundUp(cells.columns / 2, narrowest) };
    while (isRowDivided && count() < most && cells.rows > tile.rows)
      cells = { ...cells, rows: roundUp(cells.rows / 2, tile.rows) };
    return cells;
  };

  /** A chunk: B, where it is packed, begins at `packed`, its panels `panelStride` bytes apart. */
  const runChunk = (
    chunk: Product,
    layout: ScratchLayout,
    cells: Cells,
    isPacking: boolean,
    packed: number,
    panelStride: number,
  ): void => {
    const { m, n, k, scratch } = chunk;
    const packingMode = chunk.transposeB ? MODE_B.packTransposed : MODE_B.packRows;
    runCells(Math.ceil(m / cells.rows) * Math.ceil(n / cells.columns), {
      ...{ first: 0, count: 0, cellRows: cells.rows, cellColumns: cells.columns, m, n, k },
      a: chunk.a,
      aStride: chunk.strideA,
      modeA: chunk.transposeA ? MODE_A.packed : MODE_A.inPlace,
      packedA: scratch + layout.packedA,
      b: chunk.b,
      bStride: chunk.strideB,
      modeB: isPacking ? packingMode : MODE_B.packed,
      packedB: packed,
      panelStride,
      c: chunk.c,
      cStride: chunk.strideC,
      fromC: chunk.accumulate ? 1 : 0,
      edges: scratch + layout.edges,
      ...{ batchA: 0, batchB: 0, batchC: 0, batchScratch: 0 },
      epilogue: chunk.epilogue,
      bias: chunk.bias,
      residual: chunk.residual,
      residualStride: chunk.strideResidual,
    });
  };

  const run = (product: Product): void => {
    const { m, n, k, packed, transposeA, transposeB, strideA, strideB, scratch } = product;
    const layout = scratchLayout(m, n, k, transposeA);
    const isPacking = packed === undefined && m <= PACKING_CELL_ROWS;
    const mostDepth = packed === undefined || transposeA ? CHUNK_DEPTH : k;
    for (let pc = 0; pc < k; pc += mostDepth) {
      const depth = Math.min(k - pc, mostDepth);
      const columns = Math.max(CELL_COLUMNS, chunkColumns(isPacking ? Math.min(depth, BLOCK_DEPTH) : depth));
      const rows = chunkRows(depth, transposeA);
      for (let ic = 0; ic < m; ic += rows) {
        for (let jc = 0; jc < n; jc += columns) {
          const chunk: Product = {
            ...product,
            m: Math.min(m - ic, rows),
            n: Math.min(n - jc, columns),
            k: depth,
            a: product.a + (transposeA ? pc * strideA + ic * F32_BYTES : ic * strideA + pc * F32_BYTES),
            b: product.b + (transposeB ? jc * strideB + pc * F32_BYTES : pc * strideB + jc * F32_BYTES),
            c: product.c + ic * product.strideC + jc * F32_BYTES,
            accumulate: product.accumulate || pc > 0,
            epilogue: pc + depth === k ? product.epilogue : 0,
            bias: product.bias + jc * F32_BYTES,
            residual: product.residual + ic * product.strideResidual + jc * F32_BYTES,
          };
          const size = isPacking
            ? { rows: PACKING_CELL_ROWS, columns: PACKING_CELL_COLUMNS }
            : { rows: BLOCK_ROWS, columns: CELL_COLUMNS };
          const cells = divided(chunk.m, chunk.n, depth, size, !isPacking);
          if (transposeA && jc === 0) packBlocks(chunk, scratch + layout.packedA, Math.min(cells.rows, BLOCK_ROWS));
          if (packed !== undefined) {
            const panelStride = panelBytes(k);
            const at = packed + (jc / tile.columns) * panelStride + panelBytes(pc);
            runChunk(chunk, layout, cells, false, at, panelStride);
            continue;
          }
          if (!isPacking) packPanels(chunk, scratch + layout.packedB);
          const panelDepth = isPacking ? Math.min(depth, BLOCK_DEPTH) : depth;
          runChunk(chunk, layout, cells, isPacking, scratch + layout.packedB, panelBytes(panelDepth));
        }
      }
    }
  };

  const runGroups = (product: Product, { count, strideA, strideB, strideC }: Batch, layout: GroupLayout): void => {
    const { m, n, k, scratch } = product;
    for (let first = 0; first < count; first += layout.group) {
      runCells(Math.min(layout.group, count - first), {
        ...{ first: 0, count: 0, cellRows: m, cellColumns: roundUp(n, WIDEST_PANEL), m, n, k },
        a: product.a + first * strideA,
        aStride: product.strideA,
        modeA: product.transposeA ? MODE_A.packColumns : MODE_A.inPlace,
        packedA: scratch + layout.packedA,
        b: product.b + first * strideB,
        bStride: product.strideB,
        modeB: product.transposeB ? MODE_B.packTransposed : MODE_B.packRows,
        packedB: scratch + layout.packedB,
        panelStride: panelBytes(Math.min(k, BLOCK_DEPTH)),
        c: product.c + first * strideC,
        cStride: product.strideC,
        fromC: product.accumulate ? 1 : 0,
        edges: scratch + layout.edges,
        ...{ batchA: strideA, batchB: strideB, batchC: strideC, batchScratch: layout.bytes },
        ...{ epilogue: 0, bias: 0, residual: 0, residualStride: 0 },
      });
    }
  };

  return { run, runGroups, pack: packPanels };
}
