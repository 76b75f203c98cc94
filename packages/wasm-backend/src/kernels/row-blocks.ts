/**
 * Sums over the rows of a matrix that come out the same on any number of threads.
 *
 * The rows are cut into blocks by the shape alone. Each block adds its rows, in order, into a vector of its own; the vectors of
 * all blocks are then added in order. A single block adds into the result itself.
 */
import { f32x4, i32 } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachGroup } from './vector-loop.js';

/** As many threads as can work side by side on the rows. */
const MOST_BLOCKS = 32;
/** Elements that are worth a part of the work of their own. */
const BLOCK_ELEMENTS = 2 ** 15;
const UNROLL = 4;
/** Columns of a cache line. */
const LINE = 16;

const blockRowsOf = (rows: number, columns: number): number =>
  Math.max(1, Math.ceil(rows / MOST_BLOCKS), Math.ceil(BLOCK_ELEMENTS / Math.max(1, columns)));

const blocksOf = (rows: number, columns: number): number => Math.max(1, Math.ceil(rows / blockRowsOf(rows, columns)));

/** Scratch that `forEachRowBlock` needs for `sums` vectors of sums. */
export function rowBlockScratchBytes(rows: number, columns: number, sums: number): number {
  const blocks = blocksOf(rows, columns);
  return blocks === 1 ? 0 : sums * blocks * columns * F32_BYTES;
}

/** Emits the sum of the vectors of all blocks. */
export function emitRowBlocks({ module }: KernelContext): void {
  const parameters = { out: 'i32', x: 'i32', rows: 'i32', columns: 'i32', rowBytes: 'i32' } as const;
  module.function({ name: 'sumRows', parameters, result: 'void', exported: true }, (f, p) => {
    const [at, left] = [f.local('i32', 'at'), f.local('i32', 'left')];
    const sums = Array.from({ length: UNROLL }, (_, i) => f.local('v128', `sum${i}`));
    forEachGroup(f, { cursors: [p.x, p.out], count: p.columns, unroll: UNROLL }, (group) => {
      for (const { copy } of group) f.set(sums[copy]!, f32x4.constant(0));
      f.set(at, p.x);
      f.set(left, p.rows);
      f.countDown(left, 1, () => {
        for (const { copy, load } of group) f.set(sums[copy]!, f32x4.add(sums[copy]!, load(at)));
        f.set(at, i32.add(at, p.rowBytes));
      });
      f.do(...group.map(({ copy, store }) => store(p.out, sums[copy]!)));
    });
  });
}

/** What one block works on. */
export interface RowBlock {
  readonly firstRow: number;
  readonly rows: number;
  /** Where the block adds up each of the sums; the kernel clears them first. */
  readonly sums: readonly number[];
}

/** Calls a kernel for each block of rows and adds up their sums. */
export type ForEachRowBlock = (
  matrix: { readonly rows: number; readonly columns: number },
  sums: readonly number[],
  scratch: number,
  valuesOf: (block: RowBlock) => readonly number[],
) => void;

/**
 * Binds a kernel that adds up over its rows.
 *
 * `sums` are the results, f32 [columns] each, and `scratch` is `rowBlockScratchBytes(rows, columns, sums.length)` bytes.
 */
export function bindRowBlocks(host: KernelHost, name: string): ForEachRowBlock {
  const run = host.kernel(name);
  const sumRows = host.kernel('sumRows');
  return ({ rows, columns }, sums, scratch, valuesOf) => {
    const [blockRows, blocks] = [blockRowsOf(rows, columns), blocksOf(rows, columns)];
    const vectorBytes = columns * F32_BYTES;
    const partsOf = (sum: number): number => (blocks === 1 ? sums[sum]! : scratch + sum * blocks * vectorBytes);
    host.checkRange(`${name} scratch`, scratch, rowBlockScratchBytes(rows, columns, sums.length), 1);
    host.forEachPart(run, blocks, (block) => {
      const firstRow = block * blockRows;
      return valuesOf({
        firstRow,
        rows: Math.min(blockRows, rows - firstRow),
        sums: sums.map((_, sum) => partsOf(sum) + block * vectorBytes),
      });
    });
    if (blocks === 1) return;
    sums.forEach((out, sum) => {
      const division = { count: columns, grain: Math.ceil(BLOCK_ELEMENTS / blocks), multiple: LINE };
      host.divide(sumRows, division, (first, size) => [
        out + first * F32_BYTES,
        partsOf(sum) + first * F32_BYTES,
        blocks,
        size,
        vectorBytes,
      ]);
    });
  };
}
