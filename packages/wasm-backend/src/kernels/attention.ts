/**
 * Scaled dot-product attention of one head (Vaswani et al. 2017), forward and backward.
 *
 *   P = softmax over allowed keys of (scale q k^T),   y = P v,   lse = log sum over allowed keys of e^(scale q k)
 *
 * q [queries, width], k and v [keys, width], y as q, lse [queries]; rows may be strided, so that a head can be a slice of a
 * wider matrix. `mask` is optional, bytes [queries, keys], not 0 where the query may see the key. A query that sees no key
 * gets y = 0, lse = +Infinity and gradients 0. `visible` may say which runs of keys a block of queries looks at: products
 * are made for those keys only, and a block that sees all of them reads no mask.
 *
 * Backward recomputes P = e^(scale q k - lse), and with delta = sum over the width of dy y:
 *   dv += P^T dy,   dS = P (dy v^T - delta) scale,   dq = dS k,   dk += dS^T q
 * dk and dv are added to, so that the query heads of a group (GQA) can share them; the caller zeroes them first.
 *
 * Queries are taken in blocks, and only [block, keys of its runs] scores exist at a time, run beside run. Neither blocks
 * nor runs change a product: matmul carries its sums on in the order of queries and of keys.
 */
import {
  type QueryBlock,
  type VisibleKeys,
  QUERY_BLOCK,
  checkVisible,
  forEachQueryBlock,
  scoreBytes,
} from './attention-blocks.js';
import { bindAttentionRows } from './attention-rows.js';
import { F32_BYTES } from './host.js';
import type { KernelHost } from './host.js';
import { matmulScratchBytes } from './matmul/blocking.js';
import type { MatmulKernels } from './matmul/matmul.js';

/** Offsets in bytes, sizes and strides in elements. */
export interface AttentionArguments {
  readonly q: number;
  readonly k: number;
  readonly v: number;
  /** [queries, width], written. */
  readonly y: number;
  /** [queries], written. */
  readonly lse: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly scale: number;
  /** One per block of `QUERY_BLOCK` queries; left out: every block looks at all keys. */
  readonly visible?: readonly VisibleKeys[];
  /**
   * Bytes [queries of the block, keys of its runs] of each masked block, one block after the other: [queries, keys] without
   * `visible`. Left out: every query sees every key that its block looks at.
   */
  readonly mask?: number;
  /** `attentionScratchBytes(queries, keys, width)` bytes. */
  readonly scratch: number;
  /** Elements between rows of q and dq; default width. */
  readonly rowStrideQ?: number;
  /** Elements between rows of k, v, dk and dv; default width. */
  readonly rowStrideK?: number;
  /** Elements between rows of y and dy; default width. */
  readonly rowStrideY?: number;
}

/** As forward, where y and lse are what it wrote. */
export interface AttentionBackwardArguments extends AttentionArguments {
  readonly dy: number;
  /** [queries, width], written. */
  readonly dq: number;
  /** [keys, width], added to. */
  readonly dk: number;
  /** [keys, width], added to. */
  readonly dv: number;
}

/** Attention of one head. */
export interface AttentionKernels {
  attention(operands: AttentionArguments): void;
  attentionBackward(operands: AttentionBackwardArguments): void;
  /** Scratch bytes that either direction needs. */
  attentionScratchBytes(queries: number, keys: number, width: number): number;
}

/** Scratch: two score blocks, then the scratch of the largest product. */
function attentionScratchBytes(queries: number, keys: number, width: number): number {
  return scoreBytes(queries, keys) * 2 + productScratchBytes(queries, keys, width);
}

function productScratchBytes(queries: number, keys: number, width: number): number {
  const rows = Math.min(queries, QUERY_BLOCK);
  const products = [
    matmulScratchBytes(rows, keys, width),
    matmulScratchBytes(rows, width, keys),
    matmulScratchBytes(keys, width, rows),
  ];
  return Math.max(...products);
}

/** Binds attention; the matrix products are those of `matmul`. */
export function bindAttention(host: KernelHost, { matmul }: Pick<MatmulKernels, 'matmul'>): AttentionKernels {
  const { softmax, probabilities, scoreGradient } = bindAttentionRows(host);
  /** scores = q·kᵀ for the queries of a block: where both directions begin. */
  const multiplyByKeys = (operands: AttentionArguments, block: QueryBlock): void => {
    const { q, k, width } = operands;
    const { rowStrideQ, rowStrideK } = stridesOf(operands);
    for (const run of block.runs) {
      matmul({
        a: rowAt(q, block.first, rowStrideQ),
        b: rowAt(k, run.first, rowStrideK),
        c: rowAt(block.scores, run.column, 1),
        m: block.rows,
        n: run.count,
        k: width,
        transposeB: true,
        scratch: block.scratch,
        rowStrideA: rowStrideQ,
        rowStrideB: rowStrideK,
        rowStrideC: block.columns,
      });
    }
  };
  /** out[queries of the block, width] = weights·values, with the rows of `values` that the block's runs name. */
  const sumOverKeys = (
    { runs, columns, rows, scratch }: QueryBlock,
    weights: number,
    [values, rowStrideB]: Rows,
    [out, rowStrideC]: Rows,
    width: number,
  ): void => {
    for (const [i, run] of runs.entries()) {
      matmul({
        a: rowAt(weights, run.column, 1),
        b: rowAt(values, run.first, rowStrideB),
        c: out,
        m: rows,
        n: width,
        k: run.count,
        accumulate: i > 0,
        scratch,
        rowStrideA: columns,
        rowStrideB,
        rowStrideC,
      });
    }
  };
  /** out[keys, width] += weightsᵀ·values, for the keys that the block's runs name. */
  const addOverQueries = (
    { runs, columns, rows, scratch }: QueryBlock,
    weights: number,
    [values, rowStrideB]: Rows,
    [out, rowStrideC]: Rows,
    width: number,
  ): void => {
    for (const run of runs) {
      matmul({
        a: rowAt(weights, run.column, 1),
        b: values,
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
  };
  return {
    attentionScratchBytes,

    attention(operands) {
      checkAttention(host, operands);
      const { v, y, lse, width, scale } = operands;
      const { rowStrideK, rowStrideY } = stridesOf(operands);
      forEachQueryBlock(operands, (block) => {
        const { rows, first, columns, scores, mask } = block;
        multiplyByKeys(operands, block);
        softmax(scores, mask, rowAt(lse, first, 1), rows, columns, scale);
        sumOverKeys(block, scores, [v, rowStrideK], [rowAt(y, first, rowStrideY), rowStrideY], width);
      });
    },

    attentionBackward(operands) {
      checkAttention(host, operands);
      const { q, k, v, y, dy, lse, dq, dk, dv, width, scale } = operands;
      const { rowStrideQ, rowStrideK, rowStrideY } = stridesOf(operands);
      forEachQueryBlock(operands, (block) => {
        const { rows, first, columns, scores, gradient, mask } = block;
        const ofBlock = (matrix: number, stride: number): Rows => [rowAt(matrix, first, stride), stride];
        multiplyByKeys(operands, block);
        probabilities(scores, mask, rowAt(lse, first, 1), rows, columns, scale);
        addOverQueries(block, scores, ofBlock(dy, rowStrideY), [dv, rowStrideK], width);
        // dP = dy·vᵀ is a product with keys like that of q and k.
        const upstream = { ...operands, q: dy, k: v, rowStrideQ: rowStrideY };
        multiplyByKeys(upstream, { ...block, scores: gradient });
        const yBlock = rowAt(y, first, rowStrideY);
        const dyBlock = rowAt(dy, first, rowStrideY);
        scoreGradient(scores, gradient, yBlock, dyBlock, rowStrideY * F32_BYTES, rows, columns, width, scale);
        sumOverKeys(block, gradient, [k, rowStrideK], ofBlock(dq, rowStrideQ), width);
        addOverQueries(block, gradient, ofBlock(q, rowStrideQ), [dk, rowStrideK], width);
      });
    },
  };
}

/** Byte offset of the first row of a matrix, and the elements between its rows. */
type Rows = readonly [first: number, stride: number];

const rowAt = (matrix: number, row: number, stride: number): number => matrix + row * stride * F32_BYTES;

function stridesOf({
  width,
  rowStrideQ = width,
  rowStrideK = width,
  rowStrideY = width,
}: AttentionArguments): Required<Pick<AttentionArguments, 'rowStrideQ' | 'rowStrideK' | 'rowStrideY'>> {
  return { rowStrideQ, rowStrideK, rowStrideY };
}

/** Ranges that the matrix products do not check themselves. */
function checkAttention(host: KernelHost, operands: AttentionArguments | AttentionBackwardArguments): void {
  const { lse, queries, keys, width, scratch, y } = operands;
  host.checkSize('attention queries', queries);
  host.checkSize('attention keys', keys);
  host.checkSize('attention width', width);
  host.checkRange('attention lse', lse, queries);
  host.checkRange('attention scratch', scratch, attentionScratchBytes(queries, keys, width), 1);
  checkVisible(host, operands);
  const count = queries === 0 ? 0 : (queries - 1) * stridesOf(operands).rowStrideY + width;
  host.checkRange('attention y', y, count);
  if ('dy' in operands) host.checkRange('attention dy', operands.dy, count);
}
