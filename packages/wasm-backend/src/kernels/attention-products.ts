/**
 * The matrix products of attention over the runs of keys of a block of queries: with the keys, with the values, and back.
 *
 * Keys and values in f16 or bf16 are widened into scratch a few hundred rows at a time, so that no f32 copy of a cache is
 * made. Few queries, as in decoding, meet the keys as they lie: nothing is packed, and each part of the keys is read from a
 * cache again by the next four queries. Values are rows of the product already, and are not packed for few queries either.
 */
import type { QueryBlock, ScoreRun } from './attention-blocks.js';
import type { HalfKernels } from './half.js';
import { F32_BYTES } from './host.js';
import { matmulScratchBytes } from './matmul/blocking.js';
import type { MatmulKernels } from './matmul/matmul.js';
import { type RowProductKernels, type StoredMatrix, mostProductRows } from './matmul/row-products.js';

/** Byte offset of the first row of a matrix of f32, and the elements between its rows. */
export type Rows = readonly [first: number, stride: number];

/** Rows of keys or values. Those of 16 bits are dense. */
export interface StoredRows {
  readonly first: number;
  /** Elements between rows. */
  readonly stride: number;
  readonly storage: StoredMatrix;
}

/** Keys that are widened, or met by all queries, at a time: at a width of 128 they are 128 KiB as f32. */
const PART_KEYS = 256;

/** Most queries for which packing the keys does not pay: at 8 both take as long, at 64 packing is a fifth faster. */
const mostDirectRows = 16;

const bytesOf = (storage: StoredMatrix): number => (storage === 'f32' ? F32_BYTES : 2);

export const rowAt = (matrix: number, row: number, stride: number): number => matrix + row * stride * F32_BYTES;

/** Bytes of the keys or values that lie widened at a time. */
const widenedBytes = (keys: number, width: number, storage: StoredMatrix): number =>
  storage === 'f32' ? 0 : Math.min(keys, PART_KEYS) * width * F32_BYTES;

/** Scratch of any of the products, for blocks of at most `rows` queries. */
export function productScratchBytes(rows: number, keys: number, width: number, storage: StoredMatrix): number {
  const products = [
    matmulScratchBytes(rows, keys, width),
    matmulScratchBytes(rows, width, keys),
    matmulScratchBytes(keys, width, rows),
  ];
  return widenedBytes(keys, width, storage) + Math.max(...products);
}

/** Weights are [rows of the block, keys of its runs]. */
export interface AttentionProducts {
  /** scores = a·keysᵀ, [rows of the block, keys of its runs]; `a` [rows, width]. */
  multiplyByKeys(block: QueryBlock, a: Rows, keys: StoredRows, scores: number, width: number): void;
  /** out [rows, width] = weights·values, with the rows of `values` that the runs name. */
  sumOverKeys(block: QueryBlock, weights: number, values: StoredRows, out: Rows, width: number): void;
  /** out [keys, width] += weightsᵀ·values, for the keys that the runs name; `values` [rows, width]. */
  addOverQueries(block: QueryBlock, weights: number, values: Rows, out: Rows, width: number): void;
}

/** Parts of a run of at most `PART_KEYS` keys; of a run of no keys one of none. */
function partsOf(run: ScoreRun): ScoreRun[] {
  return Array.from({ length: Math.max(1, Math.ceil(run.count / PART_KEYS)) }, (_, i) => {
    const done = i * PART_KEYS;
    return { first: run.first + done, count: Math.min(PART_KEYS, run.count - done), column: run.column + done };
  });
}

export function bindAttentionProducts({
  matmul,
  rowProducts,
  widen,
}: Pick<MatmulKernels, 'matmul'> & RowProductKernels & HalfKernels): AttentionProducts {
  /** Calls `visit` for the keys of a block in order, part by part, with their rows as f32 and the scratch that is left. */
  const forEachPart = (
    block: QueryBlock,
    { first, stride, storage }: StoredRows,
    width: number,
    visit: (part: ScoreRun, rows: Rows, scratch: number) => void,
  ): void => {
    for (const run of block.runs) {
      if (storage === 'f32') {
        visit(run, [rowAt(first, run.first, stride), stride], block.scratch);
        continue;
      }
      for (const part of partsOf(run)) {
        const left = block.scratch + widenedBytes(block.columns, width, storage);
        widen(storage, block.scratch, first + part.first * stride * bytesOf(storage), part.count * width);
        visit(part, [block.scratch, width], left);
      }
    }
  };
  /** scores = a·keysᵀ for few queries: four of them at a time meet a part of the keys as it lies. */
  const meetKeys = (
    { runs, rows, columns }: QueryBlock,
    a: number,
    { first, storage }: StoredRows,
    scores: number,
    width: number,
  ): void => {
    for (const part of runs.flatMap(partsOf)) {
      for (let row = 0; row < rows; row += mostProductRows) {
        rowProducts({
          a: rowAt(a, row, width),
          b: first + part.first * width * bytesOf(storage),
          c: rowAt(scores, row, columns) + part.column * F32_BYTES,
          m: Math.min(mostProductRows, rows - row),
          n: part.count,
          k: width,
          storage,
          rowStrideC: columns,
        });
      }
    }
  };
  return {
    multiplyByKeys(block, [a, rowStrideA], keys, scores, width) {
      const isDense = rowStrideA === width && keys.stride === width;
      if (block.rows <= mostDirectRows && isDense) {
        meetKeys(block, a, keys, scores, width);
        return;
      }
      forEachPart(block, keys, width, (part, [b, rowStrideB], scratch) => {
        matmul({
          a,
          b,
          c: rowAt(scores, part.column, 1),
          m: block.rows,
          n: part.count,
          k: width,
          transposeB: true,
          scratch,
          rowStrideA,
          rowStrideB,
          rowStrideC: block.columns,
        });
      });
    },
    sumOverKeys(block, weights, values, [c, rowStrideC], width) {
      let accumulate = false;
      forEachPart(block, values, width, (part, [b, rowStrideB], scratch) => {
        matmul({
          a: rowAt(weights, part.column, 1),
          b,
          c,
          m: block.rows,
          n: width,
          k: part.count,
          accumulate,
          scratch,
          rowStrideA: block.columns,
          rowStrideB,
          rowStrideC,
        });
        accumulate = true;
      });
    },
    addOverQueries({ runs, columns, rows, scratch }, weights, [b, rowStrideB], [out, rowStrideC], width) {
      for (const run of runs) {
        matmul({
          a: rowAt(weights, run.column, 1),
          b,
          c: rowAt(out, run.first, rowStrideC),
          m: run.count,
          n: width,
          k: rows,
          transposeA: true,
          accumulate: true,
          scratch,
          rowStrideA: columns,
          rowStrideB,
          rowStrideC,
        });
      }
    },
  };
}
