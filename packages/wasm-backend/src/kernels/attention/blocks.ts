/**
 * How attention is cut up: into units that are computed apart from each other, and those into blocks.
 *
 * Forward, a unit is a block of queries of one row group; backward, it is all queries of some row groups against one key head,
 * so that the gradients of its keys are summed in one place and in one order. A *row group* is the queries of a head, or of all
 * heads that share a key head where they are few. Blocks of keys begin at multiples of their size, so that keys that nobody sees
 * change no sum, whether they are skipped or masked. No size depends on the tier or on the threads.
 */

/** Queries of a tile of the mask's map, and rows of a unit forward: their panels fit L2 beside a block of keys and values. */
export const TILE_QUERIES = 128;
/** Keys of a tile of the mask's map, and of a block backward. */
export const TILE_KEYS = 128;
/** Keys of a block forward: two tiles. */
export const BLOCK_KEYS: number = 2 * TILE_KEYS;
/** Queries of a panel. */
export const PANEL_QUERIES = 16 as const;

/** What scratch depends on, with the mask. */
export interface AttentionSizes {
  readonly batch: number;
  readonly keyHeads: number;
  /** Query heads that share a key head. */
  readonly group: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
}

export interface RowGroups {
  readonly rows: number;
  /** Row groups of a key head. */
  readonly groups: number;
}

/** Heads whose queries fill no more than one row of tiles make one row group together: their keys are read once for all. */
export function rowGroupsOf({ group, queries }: Pick<AttentionSizes, 'group' | 'queries'>): RowGroups {
  return queries <= TILE_QUERIES ? { rows: group * queries, groups: 1 } : { rows: queries, groups: group };
}

/** Units backward that are worth having: as many as the most threads that are used unasked. */
const ENOUGH_UNITS = 16;

/** Into how many chunks the row groups of a key head are cut, backward. */
export function chunksOf({ batch, keyHeads, ...sizes }: AttentionSizes): {
  readonly chunks: number;
  readonly groupsPerChunk: number;
} {
  const { groups } = rowGroupsOf(sizes);
  const wanted = Math.ceil(ENOUGH_UNITS / Math.max(1, batch * keyHeads));
  const groupsPerChunk = Math.ceil(groups / Math.min(groups, wanted)) || 1;
  return { chunks: Math.ceil(groups / groupsPerChunk), groupsPerChunk };
}
