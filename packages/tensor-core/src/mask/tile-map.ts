/**
 * Which tiles of a mask matter: the map that lets attention skip what nobody sees and drop the mask where all is allowed.
 *
 * Tile (b, i, j) covers queries [i·tileQueries, …) and keys [j·tileKeys, …) of batch entry b. Its byte is
 *
 *   skip      no query of the tile may see a key of the tile
 *   full      every query of the tile may see every key of the tile
 *   partial   anything else, or not known
 *
 * `skip` and `full` are always true. Leaves are judged exactly: a comparison from the least and greatest number of each
 * side (equality and tables from the distinct numbers), `dense` from its cells. `and`, `or` and `not` combine verdicts in
 * three-valued logic (Kleene), which may call partial what only together is skip or full. Cost: a pass over the positions
 * of each side per leaf that reads one number per position, then one verdict per tile; `dense` reads its cells. Leaves on the
 * positions themselves (causal, window, prefix) cost nothing per position, however long a cache is.
 */
import type { HostTensor } from '../op.js';
import type { MaskExpression } from './expression.js';
import type { RoleTable } from './mask.js';
import { readMaskNumber, readMaskPairs } from './predicate.js';
import { type MaskNumber, type MaskProgram, type MaskRelation, maskProgram } from './program.js';

/** Bytes of a tile map. */
export const maskTile = { skip: 0, full: 1, partial: 2 } as const;

export type MaskTile = (typeof maskTile)[keyof typeof maskTile];

export interface TileMapSizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  /** Queries per tile; the last tile may be smaller. */
  readonly tileQueries: number;
  readonly tileKeys: number;
}

export interface MaskTileMap {
  /** [batch, query tiles, key tiles] */
  readonly shape: readonly [number, number, number];
  /** One `maskTile` byte per tile. */
  readonly data: Uint8Array;
}

const { skip, full, partial } = maskTile;

const opposite: Readonly<Record<MaskTile, MaskTile>> = { [skip]: full, [full]: skip, [partial]: partial };

const verdict = (always: boolean, never: boolean): MaskTile => (never ? skip : always ? full : partial);

/** The numbers of one side over the positions of one tile. */
interface Numbers {
  readonly least: number;
  readonly greatest: number;
  /** The different numbers, in no order. */
  distinct(): ReadonlySet<number>;
}

/** By how much a number grows from one position to the next; undefined where each position has a number of its own. */
function growthOf(number: MaskNumber): number | undefined {
  if (number.op === 'position') return 1;
  if (number.op === 'constant') return 0;
  if (number.op === 'load') return number.per === 'batch' ? 0 : undefined;
  const [left, right] = [growthOf(number.left), growthOf(number.right)];
  return left === undefined || right === undefined ? undefined : left + right;
}

/** Numbers of the positions from `first` up to `end`, which is beyond the last. */
function numbersOf(at: (position: number) => number, growth: number | undefined, first: number, end: number): Numbers {
  let [least, greatest] = [Infinity, -Infinity];
  const [start, last] = [at(first), at(end - 1)];
  // Not where a sum has wrapped around in between.
  if (growth !== undefined && last - start === growth * (end - 1 - first)) [least, greatest] = [start, last];
  else
    for (let position = first; position < end; position++) {
      const number = at(position);
      if (number < least) least = number;
      if (number > greatest) greatest = number;
    }
  let known: Set<number> | undefined;
  const distinct = (): ReadonlySet<number> => {
    if (!known) {
      known = new Set();
      for (let position = first; position < end; position++) known.add(at(position));
    }
    return known;
  };
  return { least, greatest, distinct };
}

/** The bounds of a tile's positions along one side. */
type Range = readonly [first: number, end: number];

const rangesOf = (positions: number, tile: number): Range[] =>
  Array.from({ length: Math.ceil(positions / tile) }, (_, i) => [i * tile, Math.min(positions, (i + 1) * tile)]);

function equalNumbers(a: Numbers, b: Numbers): MaskTile {
  if (a.least > b.greatest || a.greatest < b.least) return skip;
  if (a.least === a.greatest && b.least === b.greatest) return full;
  const others = b.distinct();
  for (const number of a.distinct()) if (others.has(number)) return partial;
  return skip;
}

const lessNumbers = (a: Numbers, b: Numbers): MaskTile => verdict(a.greatest < b.least, a.least >= b.greatest);

const relations: Readonly<Record<MaskRelation, (query: Numbers, key: Numbers) => MaskTile>> = {
  equal: equalNumbers,
  less: lessNumbers,
  greater: (query, key) => lessNumbers(key, query),
  greaterEqual: (query, key) => opposite[lessNumbers(query, key)],
};

function tableNumbers(table: RoleTable, query: Numbers, key: Numbers): MaskTile {
  let [some, all] = [false, true];
  for (const row of query.distinct()) {
    for (const column of key.distinct()) {
      const allowed = table[row]?.[column] ?? false;
      some ||= allowed;
      all &&= allowed;
    }
  }
  return verdict(all, !some);
}

/** The verdict on a tile of one batch entry, by its number along each side. */
type Judge = (queryTile: number, keyTile: number) => MaskTile;

/** `and` for absorbing = skip, `or` for absorbing = full. */
function joinVerdicts(judges: readonly Judge[], absorbing: typeof skip | typeof full): Judge {
  return (queryTile, keyTile) => {
    let joined: MaskTile = opposite[absorbing];
    for (const judge of judges) {
      const next = judge(queryTile, keyTile);
      if (next === absorbing) return absorbing;
      if (next === partial) joined = partial;
    }
    return joined;
  };
}

const absorbing = { and: skip, or: full } as const;

/** Judges the tiles of batch entry `batch`. */
function judgeOf(
  program: MaskProgram,
  operands: readonly HostTensor[],
  batch: number,
  queryTiles: readonly Range[],
  keyTiles: readonly Range[],
): Judge {
  const over = (number: MaskNumber, tiles: readonly Range[]): Numbers[] => {
    const [read, growth] = [readMaskNumber(number, operands), growthOf(number)];
    return tiles.map(([first, end]) => numbersOf((position) => read(batch, position), growth, first, end));
  };
  switch (program.op) {
    case 'compare':
    case 'table': {
      const ofQueries = over(program.query, queryTiles);
      const ofKeys = over(program.key, keyTiles);
      const judge =
        program.op === 'compare'
          ? relations[program.relation]
          : (query: Numbers, key: Numbers): MaskTile => tableNumbers(program.table, query, key);
      return (queryTile, keyTile) => judge(ofQueries[queryTile]!, ofKeys[keyTile]!);
    }
    case 'pairs': {
      const allow = readMaskPairs(program.operand, operands);
      return (queryTile, keyTile) => {
        const [keyFirst, keyEnd] = keyTiles[keyTile]!;
        const [queryFirst, queryEnd] = queryTiles[queryTile]!;
        const first = allow(batch, queryFirst, keyFirst);
        for (let query = queryFirst; query < queryEnd; query++)
          for (let key = keyFirst; key < keyEnd; key++) if (allow(batch, query, key) !== first) return partial;
        return first ? full : skip;
      };
    }
    case 'and':
    case 'or': {
      const judges = program.parts.map((part) => judgeOf(part, operands, batch, queryTiles, keyTiles));
      return joinVerdicts(judges, absorbing[program.op]);
    }
    case 'not': {
      const judge = judgeOf(program.part, operands, batch, queryTiles, keyTiles);
      return (queryTile, keyTile) => opposite[judge(queryTile, keyTile)];
    }
  }
}

/**
 * The tile map of a mask over operands in host arrays: one byte per (batch entry, query tile, key tile).
 * Throws a RangeError for tile sizes that are not whole numbers from 1 up.
 */
export function maskTileMap(
  expression: MaskExpression,
  operands: readonly HostTensor[],
  { batch, queries, keys, tileQueries, tileKeys }: TileMapSizes,
): MaskTileMap {
  for (const size of [tileQueries, tileKeys])
    if (!Number.isInteger(size) || size < 1)
      throw new RangeError(`maskTileMap: a tile of ${size} positions; give a whole number from 1 up`);
  const program = maskProgram(expression);
  const [queryTiles, keyTiles] = [rangesOf(queries, tileQueries), rangesOf(keys, tileKeys)];
  const shape = [batch, queryTiles.length, keyTiles.length] as const;
  const data = new Uint8Array(batch * queryTiles.length * keyTiles.length);
  let at = 0;
  for (let entry = 0; entry < batch; entry++) {
    const judge = judgeOf(program, operands, entry, queryTiles, keyTiles);
    for (let i = 0; i < queryTiles.length; i++) for (let j = 0; j < keyTiles.length; j++) data[at++] = judge(i, j);
  }
  return { shape, data };
}
