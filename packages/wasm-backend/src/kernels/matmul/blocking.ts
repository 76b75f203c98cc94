/**
 * Block sizes of the matrix product, in elements. Names follow Goto and van de Geijn, "Anatomy of High-Performance Matrix
 * Multiplication" (ACM TOMS 34(3), 2008): the register tile is mr x nr, the panel of B in L1 is kc x nr, the block of A
 * that stays in L2 is mc x kc, and the packed block of B is kc x nc.
 */
import type { Tier } from '../tier.js';

/**
 * Rows of the register tile. 2 * mr accumulators, two vectors of B and one of A must fit the 15 vector registers that V8
 * allocates on x64; without a fused instruction one more holds the product, hence a smaller tile.
 */
export const TILE_ROWS: Readonly<Record<Tier, number>> = { simd128: 5, relaxed: 6, revectorized: 6 };

/** Columns of the register tile: two vectors. */
export const TILE_COLUMNS = 8;

/** Depth of a block: kc * nr * 4 bytes = 8 KiB of B stay in L1 beside the streams of A. */
export const BLOCK_DEPTH = 256;

/** Rows of A per block: mc * kc * 4 bytes = 180 KiB in L2. A multiple of both tile heights. */
export const BLOCK_ROWS = 180;

/** Columns of B packed at a time: kc * nc * 4 bytes = 512 KiB. */
export const BLOCK_COLUMNS = 512;

/** B in row order is read in place, not packed, when its panels would be used by fewer rows of A than this. */
export const PACK_B_MINIMUM_ROWS = 24;

/** Bytes of one output tile, kept in scratch for the last columns where n is not a multiple of the tile. */
export const EDGE_TILE_BYTES: number = 8 * TILE_COLUMNS * 4;

/**
 * A transposed A with rows of at least this many bytes is copied block by block: reading a column of tiles through such a
 * stride, often a power of two, would map to few cache sets (at 4096 bytes the product ran at 0.6 of its speed).
 */
export const COPY_A_MINIMUM_STRIDE_BYTES = 2048;

/** Bytes of the packed block of B. */
export function packedBytes(n: number, k: number): number {
  const columns = Math.ceil(Math.min(n, BLOCK_COLUMNS) / TILE_COLUMNS) * TILE_COLUMNS;
  return columns * Math.min(k, BLOCK_DEPTH) * 4;
}

/** Scratch bytes that a product of these sizes needs at most: edge tile, block of A, packed block of B. */
export function matmulScratchBytes(m: number, n: number, k: number): number {
  return EDGE_TILE_BYTES + Math.min(m, BLOCK_ROWS) * Math.min(k, BLOCK_DEPTH) * 4 + packedBytes(n, k);
}
