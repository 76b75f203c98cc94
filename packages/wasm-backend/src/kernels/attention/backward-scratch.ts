/** How attention backward lays out what it holds of 64 queries and 128 keys. */
import { F32_BYTES } from '../host.js';
import { PANEL_QUERIES, TILE_KEYS } from './blocks.js';
import { PANEL_ROWS, ROW_PANEL_COLUMNS } from './panels.js';

/** Bytes of a row of a panel. */
export const PANEL_BYTES: number = PANEL_QUERIES * F32_BYTES;
/** Bytes of a row of scores: one key against the queries of all panels. */
export const SCORE_ROW_BYTES: number = PANEL_ROWS * F32_BYTES;
/** Bytes of the mask of a panel. */
export const MASK_BYTES: number = TILE_KEYS * PANEL_BYTES;
/** Bytes of a row of a row panel, and of a whole one. */
export const ROW_BYTES: number = ROW_PANEL_COLUMNS * F32_BYTES;
export const ROW_PANEL_BYTES: number = PANEL_ROWS * ROW_BYTES;

/** Places of the numbers of rows: lse, delta, and the factor of dq. */
export const ROW_NUMBERS: Readonly<Record<'lse' | 'delta' | 'scale', number>> = {
  lse: 0,
  delta: SCORE_ROW_BYTES,
  scale: 2 * SCORE_ROW_BYTES,
};
export const ROW_NUMBERS_BYTES: number = 2 * SCORE_ROW_BYTES + PANEL_BYTES;
