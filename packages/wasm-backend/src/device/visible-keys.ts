/**
 * From a tile map to what the attention kernel is told: the runs of keys that each block of queries looks at, and whether
 * it needs mask bytes there. Tiles that nobody sees fall out of the runs; a block of full tiles needs no bytes.
 */
import { type MaskTileMap, type TileMapSizes, maskTile } from '@mindseye/tensor-core';
import { type KeyRun, QUERY_BLOCK, type VisibleKeys } from '../kernels/attention-blocks.js';

/** Keys per tile: as many as make a product with a block of queries worth its own packing. */
const KEY_TILE = 64;

/** The tiles that `visibleKeys` reads. */
export const attentionTiles: Pick<TileMapSizes, 'tileQueries' | 'tileKeys'> = {
  tileQueries: QUERY_BLOCK,
  tileKeys: KEY_TILE,
};

/** What each block of queries of batch entry `entry` looks at; `map` has tiles of `attentionTiles`. */
export function visibleKeys({ shape, data }: MaskTileMap, entry: number, keys: number): VisibleKeys[] {
  const [, blocks, tiles] = shape;
  return Array.from({ length: blocks }, (_, block) => {
    const row = data.subarray((entry * blocks + block) * tiles, (entry * blocks + block + 1) * tiles);
    return { runs: runsOf(row, keys), masked: row.includes(maskTile.partial) };
  });
}

/** Neighbouring tiles that are not skipped, as runs. */
function runsOf(tiles: Uint8Array, keys: number): KeyRun[] {
  const runs: KeyRun[] = [];
  for (let tile = 0; tile < tiles.length; tile++) {
    if (tiles[tile] === maskTile.skip) continue;
    const from = tile;
    while (tile + 1 < tiles.length && tiles[tile + 1] !== maskTile.skip) tile++;
    const first = from * KEY_TILE;
    runs.push({ first, count: Math.min(keys, (tile + 1) * KEY_TILE) - first });
  }
  return runs;
}
