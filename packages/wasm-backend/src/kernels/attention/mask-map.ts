/** Where the mask of a block is: its program, and its row of tiles. */
import { i32, select } from '../../emit/index.js';
import type { Expression, FunctionBuilder, Local, Operand } from '../../emit/index.js';
import { TILE_KEYS, TILE_QUERIES } from './blocks.js';

/** Codes of the tile map; see `AttentionMask`. */
export const TILE = { skip: 0, full: 1, partial: 2 } as const;

/** Sets `code` to the tile of the mask's map at some key: `full` without a mask, `skip` beyond the keys. */
export function readTile(
  f: FunctionBuilder,
  code: Local<'i32'>,
  { tiles, programs, keys }: Readonly<Record<'tiles' | 'programs' | 'keys', Local<'i32'>>>,
  key: Expression<'i32'>,
): void {
  f.set(code, select(i32.const(TILE.full), i32.const(TILE.skip), i32.ltUnsigned(key, keys)));
  f.if(i32.and(code, i32.ne(programs, 0)), () => {
    f.set(code, i32.load8Unsigned(i32.add(tiles, i32.divUnsigned(key, TILE_KEYS))));
  });
}

/** What tells where the mask of a block is, and what its rows are. */
type MaskField = 'programs' | 'tiles' | 'entryPrograms' | 'entryTiles' | 'keyTiles' | 'keyHeads' | 'rows' | 'queries';
export const MASK_FIELDS: readonly MaskField[] = [
  'programs',
  'tiles',
  'entryPrograms',
  'entryTiles',
  'keyTiles',
  'keyHeads',
  'rows',
  'queries',
];

/** Moves the mask on to the batch entry of a key head and the row of tiles of a row. */
export function placeMask(
  f: FunctionBuilder,
  mask: Readonly<Record<MaskField, Local<'i32'>>>,
  keyHead: Local<'i32'>,
  row: Operand<'i32'>,
): { readonly program: Local<'i32'>; readonly tiles: Local<'i32'> } {
  const entry = f.let('entry', i32.divUnsigned(keyHead, mask.keyHeads));
  const program = f.let('program', i32.add(mask.programs, i32.mul(entry, mask.entryPrograms)));
  // Several heads in one row group have one row of tiles.
  const tileRow = select(i32.divUnsigned(row, TILE_QUERIES), i32.const(0), i32.eq(mask.rows, mask.queries));
  const ofEntry = i32.add(mask.tiles, i32.mul(entry, mask.entryTiles));
  return { program, tiles: f.let('tiles', i32.add(ofEntry, i32.mul(tileRow, mask.keyTiles))) };
}
