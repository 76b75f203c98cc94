/** How the units of attention are shared out: runs of them that cost about the same, one for each slot of scratch. */
import { TILE_KEYS, TILE_QUERIES, rowGroupsOf } from './blocks.js';
import { type Direction, type ScratchSizes, unitsOf } from './scratch.js';

/** Products of a tile per element of the width: two forward, five backward. */
const PRODUCTS: Readonly<Record<Direction, number>> = { forward: 2, backward: 5 };
/** Multiply-adds that a thread does in a microsecond, about. */
const MULTIPLY_ADDS = 30_000;

/** How many tiles of the map of an entry some query looks at, row by row. */
function tilesSeen(tiles: Uint8Array, keyTiles: number, row: number): number {
  let seen = 0;
  for (let at = row * keyTiles; at < (row + 1) * keyTiles; at += 1) if (tiles[at] !== 0) seen += 1;
  return seen;
}

/** The cost of each unit in tiles of queries against keys; not 0 where nothing is seen, since results are still written. */
function costsOf(
  direction: Direction,
  sizes: ScratchSizes,
  mask: { readonly entries: number; readonly tiles: Uint8Array } | undefined,
): Float64Array {
  const { batch, queries, keys } = sizes;
  const { rows } = rowGroupsOf(sizes);
  const [tileRows, keyTiles] = [Math.ceil(queries / TILE_QUERIES), Math.ceil(keys / TILE_KEYS)];
  const units = unitsOf(direction, sizes);
  const ofRow = Float64Array.from({ length: (mask?.entries ?? 1) * tileRows }, (_, row) =>
    mask ? tilesSeen(mask.tiles, keyTiles, row) : keyTiles,
  );
  const blocks = direction === 'forward' ? Math.ceil(rows / TILE_QUERIES) : 1;
  return Float64Array.from({ length: units }, (_, unit) => {
    const entry = mask && mask.entries > 1 ? Math.floor(unit / (units / batch)) : 0;
    const seen = ofRow.subarray(entry * tileRows, (entry + 1) * tileRows);
    // All blocks of a row group of several heads have the same tiles.
    if (direction === 'forward') return 0.25 + seen[rows === queries ? unit % blocks : 0]!;
    return 0.25 + (seen.reduce((total, count) => total + count, 0) * rows) / Math.max(queries, 1);
  });
}

export interface Shares {
  /** Slot s computes units bounds[s] up to bounds[s + 1]. */
  readonly bounds: Int32Array;
  /** Slots that are worth a part of their own: some 20 microseconds. */
  readonly grain: number;
}

/** Shares of all units for at most `slots` slots, at least one unit each. */
export function shareUnits(
  direction: Direction,
  sizes: ScratchSizes,
  mask: { readonly entries: number; readonly tiles: Uint8Array } | undefined,
  slots: number,
): Shares {
  const costs = costsOf(direction, sizes, mask);
  const total = costs.reduce((sum, cost) => sum + cost, 0);
  const bounds = new Int32Array(slots + 1).fill(costs.length);
  let [unit, before] = [0, 0];
  bounds[0] = 0;
  for (let slot = 1; slot < slots; slot += 1) {
    const left = slots - slot;
    do before += costs[unit++]!;
    while (unit < costs.length - left && before + costs[unit]! / 2 < (total * slot) / slots);
    bounds[slot] = unit;
  }
  const tileRows = Math.min(rowGroupsOf(sizes).rows, TILE_QUERIES);
  const ofTile = PRODUCTS[direction] * tileRows * Math.min(sizes.keys, TILE_KEYS) * sizes.width;
  const microseconds = (total * ofTile) / MULTIPLY_ADDS;
  return { bounds, grain: Math.max(1, Math.ceil((20 * slots) / Math.max(microseconds, 1))) };
}
