/**
 * Block sizes of the matrix product. Names follow Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication"
 * (ACM TOMS 34(3), 2008): the register tile is mr x nr; a panel of B, kc x nr, stays in L1; a block of A, mc x kc, in L2.
 *
 * C is computed in *cells* that threads take one after another. The cells of a chunk share what has been packed of it. How a
 * product is divided changes no bit of it.
 */
import type { Tier } from '../tier.js';

/** The register tile of a tier, in elements. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Two accumulators a row (of 256 bits where V8 joins vectors), two vectors of B and one of A must fit the 15 vector registers
 * that V8 allocates on x64; without a fused instruction one more holds the product, hence a tile less high.
 */
export const TILES: Readonly<Record<Tier, Tile>> = {
  simd128: { rows: 5, columns: 8 },
  relaxed: { rows: 6, columns: 8 },
  revectorized: { rows: 6, columns: 16 },
};

/** All panel widths divide it: sizes that hold for every tier are counted in it. */
export const WIDEST_PANEL = 16;

/**
 * Rows of a block (mc), a multiple of all tile heights: 180 KiB of A in L2. Few, because every row of A and of C lies in a page
 * of its own where matrices are wide: with 180 rows the addresses of one block exceed what the processor translates quickly.
 */
export const BLOCK_ROWS = 90;

/** Most rows and columns of a cell, and the depth of its blocks (kc). */
export interface CellShape {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** Most depth of a block whose panels meet many tiles: 32 KiB of the widest panel stay in L1. */
const BLOCK_DEPTH = 512;

/** Cells that share panels: 256 KiB of B in L2; C is loaded and stored once for every block of the depth. */
const SHARING_SHAPE: CellShape = { rows: BLOCK_ROWS, columns: 128, depth: BLOCK_DEPTH };

/** Up to so many rows, cells are as high as the product and pack their own part of B, which nothing else reads. */
export const PACKING_CELL_ROWS = 180;

/** Up to so many rows, reading B is most of the work. */
const READING_ROWS = 48;

const PACKING_SHAPE: CellShape = { rows: PACKING_CELL_ROWS, columns: 512, depth: BLOCK_DEPTH };

/** Stored rows of B that are as long as a chunk are read whole: page after page. */
const READING_SHAPE: CellShape = { rows: READING_ROWS, columns: 2048, depth: 128 };

/** The cells of a product of m rows whose B has been packed, or whose cells pack their own part of it: 1 MiB. */
export function cellShape(m: number, k: number, isPacked: boolean, transposeB: boolean): CellShape {
  const isReading = m <= READING_ROWS;
  // Panels that few tiles meet are read through at once.
  if (isPacked) return isReading ? { ...SHARING_SHAPE, depth: k } : SHARING_SHAPE;
  if (m > PACKING_CELL_ROWS) return SHARING_SHAPE;
  return isReading && !transposeB ? READING_SHAPE : PACKING_SHAPE;
}

/** Fewer multiply-adds, some microseconds, are not divided further. */
export const LEAST_CELL_PRODUCTS: number = 2 ** 16;

/** Elements of B that are packed at a time: 4 MiB. */
const CHUNK_OF_B = 2 ** 20;

/** Elements of a transposed A that are packed at a time: 8 MiB. */
const CHUNK_OF_A = 2 ** 21;

/** Most depth of a chunk: between chunks, C goes through a cache beyond L2. */
export const CHUNK_DEPTH = 2048;

const MOST_CHUNK_COLUMNS = 4096;
const MOST_CHUNK_ROWS = 4096;

export const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;
const roundDown = (value: number, multiple: number): number => Math.floor(value / multiple) * multiple;

/** Columns of a chunk whose panels have this depth: as many as are packed at a time, or if they have been before, more. */
export const chunkColumns = (depth: number): number =>
  Math.min(MOST_CHUNK_COLUMNS, Math.max(CHUNK_OF_B / CHUNK_DEPTH, roundDown(CHUNK_OF_B / depth, WIDEST_PANEL)));

/** Rows of a chunk of this depth. */
export const chunkRows = (depth: number, transposeA: boolean): number =>
  transposeA ? Math.min(MOST_CHUNK_ROWS, roundDown(CHUNK_OF_A / depth, BLOCK_ROWS)) : MOST_CHUNK_ROWS;

/** Where the parts of the scratch begin, and its size, in bytes. */
export interface ScratchLayout {
  /** A row of the widest panel for every row of a chunk: where the last columns are summed up, fewer than a panel has. */
  readonly edges: number;
  readonly packedA: number;
  readonly packedB: number;
  readonly bytes: number;
}

const CACHE_LINE = 64;

function layoutOf(rows: number, elementsOfA: number, elementsOfB: number): ScratchLayout {
  const packedA = Math.min(rows, MOST_CHUNK_ROWS) * WIDEST_PANEL * 4;
  const packedB = roundUp(packedA + elementsOfA * 4, CACHE_LINE);
  return { edges: 0, packedA, packedB, bytes: roundUp(packedB + elementsOfB * 4, CACHE_LINE) };
}

/** The scratch of one product: bytes grow with every size. */
export function scratchLayout(m: number, n: number, k: number, transposeA: boolean): ScratchLayout {
  const depth = Math.min(k, CHUNK_DEPTH);
  const elementsOfA = transposeA ? Math.min(m * depth, CHUNK_OF_A) : 0;
  return layoutOf(m, elementsOfA, Math.min(roundUp(n, WIDEST_PANEL) * depth, CHUNK_OF_B));
}

/** Most multiply-adds of a product that is one cell, and most elements of its panels. */
const MOST_GROUPED_PRODUCTS = 2 ** 22;
const MOST_GROUPED_PANELS = 2 ** 17;
const GROUP_BYTES = 2 ** 22;

/** Products of a batch that are packed and multiplied side by side, each in its own layout. */
export interface GroupLayout extends ScratchLayout {
  readonly group: number;
  /** Of blocks. */
  readonly depth: number;
}

/** The groups of a batch; undefined where every product is better divided by itself. */
export function groupLayout(batch: number, m: number, n: number, k: number): GroupLayout | undefined {
  const depth = Math.min(k, BLOCK_DEPTH);
  const panels = roundUp(n, WIDEST_PANEL) * depth;
  const isSmall = m * n * k <= MOST_GROUPED_PRODUCTS && panels <= MOST_GROUPED_PANELS && m <= MOST_CHUNK_ROWS;
  if (batch < 2 || !isSmall) return undefined;
  const one = layoutOf(m, Math.min(m, BLOCK_ROWS) * depth, panels);
  return { ...one, depth, group: Math.max(1, Math.min(batch, Math.floor(GROUP_BYTES / one.bytes))) };
}

/** What products need of scratch beside their sizes. */
export interface ScratchOptions {
  /** Products; 1 when left out. */
  readonly batch?: number;
  /** Whether A may be stored [k, m], which is packed; true when left out. */
  readonly transposeA?: boolean;
}

/** Scratch bytes that products of these sizes need. */
export function matmulScratchBytes(
  m: number,
  n: number,
  k: number,
  { batch = 1, transposeA = true }: ScratchOptions = {},
): number {
  const groups = groupLayout(batch, m, n, k);
  return Math.max(scratchLayout(m, n, k, transposeA).bytes, groups ? groups.bytes * groups.group : 0);
}
