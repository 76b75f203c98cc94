/**
 * Blocks of queries, and the runs of keys that each of them looks at: how attention walks its scores.
 *
 * A block's scores are [queries of the block, keys of its runs], run beside run, so that keys in no run take neither
 * memory nor time. Mask bytes lie in the same layout, block after block, for the blocks that are masked.
 *
 * Query heads that share k and v (GQA) and have few queries make one block together, [heads * queries, keys of its runs]: their
 * keys are read once for all of them. Its mask bytes are those of one head.
 */
import { F32_BYTES } from './host.js';
import type { KernelHost } from './host.js';

/** Queries per block: a multiple of the register tiles' rows that keeps two score blocks of 500 keys in L2. */
export const QUERY_BLOCK = 120;

/** Keys that follow each other. */
export interface KeyRun {
  readonly first: number;
  readonly count: number;
}

/** What one block of queries looks at. */
export interface VisibleKeys {
  /** In rising order, without overlap. */
  readonly runs: readonly KeyRun[];
  /** False when every query of the block sees every key of the runs. */
  readonly masked: boolean;
}

/** The operands of attention that its blocks come from; see `AttentionArguments`. */
interface BlockedOperands {
  readonly queries: number;
  readonly keys: number;
  readonly heads?: number;
  readonly mask?: number;
  readonly visible?: readonly VisibleKeys[];
  readonly scratch: number;
}

/** Heads that make one block together: all, or one where their queries are more than a block. */
function headsTogether({ heads = 1, queries }: Pick<BlockedOperands, 'heads' | 'queries'>): number {
  return heads * queries <= QUERY_BLOCK ? heads : 1;
}

/** Rows of scores of the largest block. */
export function blockRows(sizes: Pick<BlockedOperands, 'heads' | 'queries'>): number {
  return Math.min(headsTogether(sizes) * sizes.queries, QUERY_BLOCK);
}

/** Bytes of the scores of the largest block. */
export function scoreBytes(sizes: Pick<BlockedOperands, 'heads' | 'queries' | 'keys'>): number {
  return blockRows(sizes) * sizes.keys * F32_BYTES;
}

/** A run of keys, and its first column in the scores of its block. */
export interface ScoreRun extends KeyRun {
  readonly column: number;
}

export interface QueryBlock {
  /** Queries of all its heads. */
  readonly rows: number;
  readonly heads: number;
  /** Row of the first query, from the first head on. */
  readonly first: number;
  /** At least one; a block that sees nothing has one of no keys, so that its results are still set to 0. */
  readonly runs: readonly ScoreRun[];
  /** Keys of all runs. */
  readonly columns: number;
  readonly scores: number;
  /** A second score block. */
  readonly gradient: number;
  readonly scratch: number;
  readonly mask: number | undefined;
}

function scoreRuns(runs: readonly KeyRun[]): { readonly runs: readonly ScoreRun[]; readonly columns: number } {
  let columns = 0;
  const placed = (runs.length === 0 ? [{ first: 0, count: 0 }] : runs).map((run) => {
    const column = columns;
    columns += run.count;
    return { ...run, column };
  });
  return { runs: placed, columns };
}

/** Calls `body` for each block of queries, head after head. */
export function forEachQueryBlock(operands: BlockedOperands, body: (block: QueryBlock) => void): void {
  const { queries, heads = 1, scratch: scores } = operands;
  const gradient = scores + scoreBytes(operands);
  const scratch = gradient + scoreBytes(operands);
  const blocks = blocksOf(operands).map(({ runs, masked }) => ({ ...scoreRuns(runs), masked }));
  const together = headsTogether(operands);
  for (let head = 0; head < heads; head += together) {
    let maskAt = operands.mask ?? 0;
    for (const [i, { runs, columns, masked }] of blocks.entries()) {
      const count = Math.min(QUERY_BLOCK, queries - i * QUERY_BLOCK);
      const mask = masked ? maskAt : undefined;
      if (masked) maskAt += count * columns;
      const first = head * queries + i * QUERY_BLOCK;
      body({ rows: together * count, heads: together, first, runs, columns, scores, gradient, scratch, mask });
    }
  }
}

/** What each block looks at. */
function blocksOf({ queries, keys, mask, visible }: BlockedOperands): readonly VisibleKeys[] {
  const everything = { runs: [{ first: 0, count: keys }], masked: mask !== undefined };
  return visible ?? Array.from({ length: Math.ceil(queries / QUERY_BLOCK) }, () => everything);
}

/** Runs lie inside the keys and follow each other; the mask holds the bytes of every masked block. */
export function checkVisible(host: KernelHost, operands: BlockedOperands): void {
  const { queries, keys, mask } = operands;
  const blocks = blocksOf(operands);
  const count = Math.ceil(queries / QUERY_BLOCK);
  if (blocks.length !== count)
    throw new RangeError(`attention visible: ${blocks.length} blocks for ${queries} queries; give ${count}`);
  let bytes = 0;
  for (const [i, { runs, masked }] of blocks.entries()) {
    let end = 0;
    let columns = 0;
    for (const run of runs) {
      if (!(run.first >= end && run.count >= 0 && run.first + run.count <= keys))
        throw new RangeError(
          `attention visible: block ${i} has ${run.count} keys from ${run.first} on; runs must rise and end by ${keys}`,
        );
      end = run.first + run.count;
      columns += run.count;
    }
    if (masked) bytes += Math.min(QUERY_BLOCK, queries - i * QUERY_BLOCK) * columns;
  }
  if (mask !== undefined) host.checkRange('attention mask', mask, bytes, 1);
  else if (bytes > 0) throw new RangeError(`attention visible: blocks with a mask need its ${bytes} bytes; give mask`);
}
