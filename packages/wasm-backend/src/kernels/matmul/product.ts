/**
 * How a matrix product is put into jobs for the threads.
 *
 * For chunks of the depth, of the rows and of the columns: one job packs a transposed A, one packs B, one multiplies. Where the
 * product has few rows the cells pack their own part of B, which nothing else reads, and where B has been packed before there
 * is nothing to pack; of a batch of small products each is a cell. All of that is chosen by sizes and the number of threads,
 * and the sum of an element is always the same chain.
 */
import { F32_BYTES } from '../host.js';
import type { KernelHost } from '../host.js';
import {
  BLOCK_ROWS,
  cellShape,
  CHUNK_DEPTH,
  chunkColumns,
  chunkRows,
  LEAST_CELL_PRODUCTS,
  PACKING_CELL_ROWS,
  roundUp,
  scratchLayout,
  TILES,
  WIDEST_PANEL,
} from './blocking.js';
import type { CellShape, GroupLayout } from './blocking.js';
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

export type PanelSource = Pick<Product, 'n' | 'k' | 'b' | 'strideB' | 'transposeB'>;

/** Runs products. */
export interface ProductRunner {
  /** One product. */
  run(product: Product): void;
  /** A batch of products, without packed weight and epilogue. */
  runGroups(product: Product, batch: Batch, layout: GroupLayout): void;
  /** Writes all panels of B. */
  pack(b: PanelSource, packed: number): void;
}

/** Multiply-adds that are worth a part of their own: some 20 microseconds. */
const GRAIN_PRODUCTS = 2 ** 20;
/** Packed elements that are: less, since the threads are wanted next for the product itself. */
const GRAIN_PACKED = 2 ** 14;

/** Cells for each thread, so that one that is late takes fewer. */
const CELLS_PER_THREAD = 4;

type CellValues = Readonly<Record<keyof typeof CELL_PARAMETERS, number>>;
const CELL_NAMES = Object.keys(CELL_PARAMETERS) as (keyof typeof CELL_PARAMETERS)[];
const [FIRST, COUNT] = [CELL_NAMES.indexOf('first'), CELL_NAMES.indexOf('count')] as const;

/** Binds the jobs of products. */
export function bindProduct(host: KernelHost): ProductRunner {
  const [cellKernel, packAKernel, packBKernel] = [host.kernel(CELLS), host.kernel(PACK_A), host.kernel(PACK_B)];
  const tile = TILES[host.tier];
  const panelBytes = (depth: number): number => depth * tile.columns * F32_BYTES;
  const wanted = host.threads === 1 ? 1 : CELLS_PER_THREAD * host.threads;

  const pack = ({ n, k, b, strideB, transposeB }: PanelSource, packed: number): void => {
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

  const packBlocksOfA = (cells: CellValues): void => {
    const { m, k, a, aStride, packedA } = cells;
    const rows = Math.min(cells.cellRows, BLOCK_ROWS);
    const division = { count: Math.ceil(m / rows), grain: Math.ceil(GRAIN_PACKED / (rows * k)) };
    host.divide(packAKernel, division, (from, size) => [from, size, rows, m, k, a, aStride, packedA]);
  };

  const runCells = (count: number, cells: CellValues): void => {
    const values = CELL_NAMES.map((name) => cells[name]);
    const grain = Math.ceil(GRAIN_PRODUCTS / (cells.cellRows * cells.cellColumns * cells.k));
    host.divide(cellKernel, { count, grain }, (from, size) => {
      const part = values.slice();
      part[FIRST] = from;
      part[COUNT] = size;
      return part;
    });
  };

  /** Smaller cells where there would be too few of them for the threads. */
  const divided = (
    m: number,
    n: number,
    k: number,
    { rows, columns, depth }: CellShape,
    areTall: boolean,
  ): CellShape => {
    const most = Math.min(wanted, Math.floor((m * n * k) / LEAST_CELL_PRODUCTS));
    let [cellRows, cellColumns] = [Math.min(rows, m), Math.min(columns, roundUp(n, WIDEST_PANEL))];
    const isEnough = (): boolean => Math.ceil(m / cellRows) * Math.ceil(n / cellColumns) >= most;
    while (!isEnough() && cellColumns > WIDEST_PANEL) cellColumns = roundUp(cellColumns / 2, WIDEST_PANEL);
    while (!isEnough() && cellRows > tile.rows && !areTall) cellRows = roundUp(cellRows / 2, tile.rows);
    return { rows: cellRows, columns: cellColumns, depth };
  };

  const run = (product: Product): void => {
    const { m, n, k, packed, transposeA, transposeB, strideA, strideB, strideC, scratch } = product;
    const layout = scratchLayout(m, n, k, transposeA);
    const isPacking = packed === undefined && m <= PACKING_CELL_ROWS;
    const shape = cellShape(m, k, packed !== undefined, transposeB);
    const packingMode = transposeB ? MODE_B.packTransposed : MODE_B.packRows;
    const mostDepth = packed === undefined || transposeA ? CHUNK_DEPTH : k;
    for (let pc = 0; pc < k; pc += mostDepth) {
      const depth = Math.min(k - pc, mostDepth);
      const panelDepth = isPacking ? Math.min(depth, shape.depth) : depth;
      const [mostRows, mostColumns] = [chunkRows(depth, transposeA), chunkColumns(panelDepth)];
      for (let ic = 0; ic < m; ic += mostRows) {
        for (let jc = 0; jc < n; jc += mostColumns) {
          const [rows, columns] = [Math.min(m - ic, mostRows), Math.min(n - jc, mostColumns)];
          const cells = divided(rows, columns, depth, shape, isPacking);
          const across = Math.ceil(columns / cells.columns);
          // Where cells lie below each other only, each packs what it reads of A.
          const sharesA = transposeA && across > 1;
          const packedMode = sharesA ? MODE_A.packed : MODE_A.packColumns;
          const values: CellValues = {
            first: 0,
            count: 0,
            cellRows: cells.rows,
            cellColumns: cells.columns,
            blockDepth: cells.depth,
            m: rows,
            n: columns,
            k: depth,
            a: product.a + (transposeA ? pc * strideA + ic * F32_BYTES : ic * strideA + pc * F32_BYTES),
            aStride: strideA,
            modeA: transposeA ? packedMode : MODE_A.inPlace,
            packedA: scratch + layout.packedA,
            b: product.b + (transposeB ? jc * strideB + pc * F32_BYTES : pc * strideB + jc * F32_BYTES),
            bStride: strideB,
            modeB: isPacking ? packingMode : MODE_B.packed,
            packedB:
              packed === undefined
                ? scratch + layout.packedB
                : packed + (jc / tile.columns) * panelBytes(k) + panelBytes(pc),
            panelStride: panelBytes(packed === undefined ? panelDepth : k),
            c: product.c + ic * strideC + jc * F32_BYTES,
            cStride: strideC,
            fromC: product.accumulate || pc > 0 ? 1 : 0,
            edges: scratch + layout.edges,
            batchA: 0,
            batchB: 0,
            batchC: 0,
            batchScratch: 0,
            epilogue: pc + depth === k ? product.epilogue : 0,
            bias: product.bias + jc * F32_BYTES,
            residual: product.residual + ic * product.strideResidual + jc * F32_BYTES,
            residualStride: product.strideResidual,
          };
          if (sharesA && jc === 0) packBlocksOfA(values);
          if (packed === undefined && !isPacking)
            pack({ n: columns, k: depth, b: values.b, strideB, transposeB }, values.packedB);
          runCells(Math.ceil(rows / cells.rows) * across, values);
        }
      }
    }
  };

  const runGroups = (product: Product, batch: Batch, layout: GroupLayout): void => {
    const { m, n, k, scratch } = product;
    for (let first = 0; first < batch.count; first += layout.group) {
      runCells(Math.min(layout.group, batch.count - first), {
        first: 0,
        count: 0,
        cellRows: m,
        cellColumns: roundUp(n, WIDEST_PANEL),
        blockDepth: layout.depth,
        m,
        n,
        k,
        a: product.a + first * batch.strideA,
        aStride: product.strideA,
        modeA: product.transposeA ? MODE_A.packColumns : MODE_A.inPlace,
        packedA: scratch + layout.packedA,
        b: product.b + first * batch.strideB,
        bStride: product.strideB,
        modeB: product.transposeB ? MODE_B.packTransposed : MODE_B.packRows,
        packedB: scratch + layout.packedB,
        panelStride: panelBytes(layout.depth),
        c: product.c + first * batch.strideC,
        cStride: product.strideC,
        fromC: product.accumulate ? 1 : 0,
        edges: scratch + layout.edges,
        batchA: batch.strideA,
        batchB: batch.strideB,
        batchC: batch.strideC,
        batchScratch: layout.bytes,
        epilogue: 0,
        bias: 0,
        residual: 0,
        residualStride: 0,
      });
    }
  };

  return { run, runGroups, pack };
}
