/**
 * Scaled dot-product attention of one head (Vaswani et al. 2017), forward and backward.
 *
 *   P = softmax over allowed keys of (scale q k^T),   y = P v,   lse = log sum over allowed keys of e^(scale q k)
 *
 * q [queries, width], k and v [keys, width], y as q, lse [queries]; rows may be strided, so that a head can be a slice of a
 * wider matrix. `mask` is optional, bytes [queries, keys], not 0 where the query may see the key. A query that sees no key
 * gets y = 0, lse = +Infinity and gradients 0.
 *
 * Backward recomputes P = e^(scale q k - lse), and with delta = sum over the width of dy y:
 *   dv += P^T dy,   dS = P (dy v^T - delta) scale,   dq = dS k,   dk += dS^T q
 * dk and dv are added to, so that the query heads of a group (GQA) can share them; the caller zeroes them first.
 *
 * Queries are taken in blocks, and only [block, keys] scores exist at a time. Blocks do not change any bit of the result:
 * matmul carries the sums of dk and dv on in the order of queries.
 */
import { bindAttentionRows } from './attention-rows.js';
import { F32_BYTES } from './host.js';
import type { KernelHost } from './host.js';
import { matmulScratchBytes } from './matmul/blocking.js';
import type { MatmulArguments, MatmulKernels } from './matmul/matmul.js';

/** Queries per block: a multiple of the register tiles' rows that keeps two score blocks of 500 keys in L2. */
const QUERY_BLOCK = 120;

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
  /** Bytes [queries, keys]; left out: every query sees every key. */
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

function scoreBytes(queries: number, keys: number): number {
  return Math.min(queries, QUERY_BLOCK) * keys * F32_BYTES;
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
  const multiplyByKeys = (operands: AttentionArguments, { query, scores, rows, scratch }: QueryBlock): void => {
    const { k, keys, width } = operands;
    const sizes = { m: rows, n: keys, k: width };
    matmul({ a: query, b: k, c: scores, ...sizes, transposeB: true, scratch, ...strides(operands) });
  };
  return {
    attentionScratchBytes,

    attention(operands) {
      checkAttention(host, operands);
      const { v, y, lse, keys, width, scale, rowStrideK = width, rowStrideY = width } = operands;
      forEachQueryBlock(operands, (block) => {
        const { rows, first, scores, scratch, maskBlock } = block;
        multiplyByKeys(operands, block);
        softmax(scores, maskBlock, lse + first * F32_BYTES, rows, keys, scale);
        const c = y + first * rowStrideY * F32_BYTES;
        const layout = { rowStrideB: rowStrideK, rowStrideC: rowStrideY };
        matmul({ a: scores, b: v, c, m: rows, n: width, k: keys, scratch, ...layout });
      });
    },

    attentionBackward(operands) {
      checkAttention(host, operands);
      const { k, v, y, dy, lse, dq, dk, dv, keys, width, scale } = operands;
      const { rowStrideQ = width, rowStrideK = width, rowStrideY = width } = operands;
      const ofY = rowStrideY * F32_BYTES;
      forEachQueryBlock(operands, (block) => {
        const { rows, first, scores, gradient, scratch, query, maskBlock } = block;
        const upstream = dy + first * ofY;
        const shared = { scratch, accumulate: true, rowStrideC: rowStrideK };
        multiplyByKeys(operands, block);
        probabilities(scores, maskBlock, lse + first * F32_BYTES, rows, keys, scale);
        const transposedDy = { rowStrideB: rowStrideY };
        matmul({
          a: scores,
          b: upstream,
          c: dv,
          m: keys,
          n: width,
          k: rows,
          transposeA: true,
          ...shared,
          ...transposedDy,
        });
        const overWidth = { rowStrideA: rowStrideY, rowStrideB: rowStrideK };
        matmul({ a: upstream, b: v, c: gradient, m: rows, n: keys, k: width, transposeB: true, scratch, ...overWidth });
        scoreGradient(scores, gradient, y + first * ofY, upstream, ofY, rows, keys, width, scale);
        const dqBlock = dq + first * rowStrideQ * F32_BYTES;
        const overKeys = { rowStrideB: rowStrideK, rowStrideC: rowStrideQ };
        matmul({ a: gradient, b: k, c: dqBlock, m: rows, n: width, k: keys, scratch, ...overKeys });
        const transposedQ = { rowStrideB: rowStrideQ };
        matmul({
          a: gradient,
          b: query,
          c: dk,
          m: keys,
          n: width,
          k: rows,
          transposeA: true,
          ...shared,
          ...transposedQ,
        });
      });
    },
  };
}

/** Strides of the product q k^T. */
function strides({ width, rowStrideQ = width, rowStrideK = width }: AttentionArguments): Partial<MatmulArguments> {
  return { rowStrideA: rowStrideQ, rowStrideB: rowStrideK };
}

interface QueryBlock {
  readonly rows: number;
  /** Index of the first query. */
  readonly first: number;
  readonly scores: number;
  /** A second score block. */
  readonly gradient: number;
  readonly scratch: number;
  /** Offset of the first query's row of q. */
  readonly query: number;
  readonly maskBlock: number | undefined;
}

function forEachQueryBlock(operands: AttentionArguments, body: (block: QueryBlock) => void): void {
  const { q, queries, keys, width, mask, scratch: scores, rowStrideQ = width } = operands;
  const gradient = scores + scoreBytes(queries, keys);
  const scratch = gradient + scoreBytes(queries, keys);
  for (let first = 0; first < queries; first += QUERY_BLOCK) {
    const rows = Math.min(QUERY_BLOCK, queries - first);
    const query = q + first * rowStrideQ * F32_BYTES;
    const maskBlock = mask === undefined ? undefined : mask + first * keys;
    body({ rows, first, scores, gradient, scratch, query, maskBlock });
  }
}

/** Ranges that the matrix products do not check themselves. */
function checkAttention(host: KernelHost, operands: AttentionArguments | AttentionBackwardArguments): void {
  const { lse, queries, keys, width, mask, scratch, y, rowStrideY = width } = operands;
  host.checkSize('attention queries', queries);
  host.checkSize('attention keys', keys);
  host.checkSize('attention width', width);
  host.checkRange('attention lse', lse, queries);
  host.checkRange('attention scratch', scratch, attentionScratchBytes(queries, keys, width), 1);
  if (mask !== undefined) host.checkRange('attention mask', mask, queries * keys, 1);
  const count = queries === 0 ? 0 : (queries - 1) * rowStrideY + width;
  host.checkRange('attention y', y, count);
  if ('dy' in operands) host.checkRange('attention dy', operands.dy, count);
}
