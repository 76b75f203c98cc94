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
 * Forward takes all query heads that share k and v (GQA) in one call, [heads, queries, width] and [heads, queries], and k and v
 * in f32, f16 or bf16, widened as they are read.
 *
 * Backward recomputes P = e^(scale q k - lse), and with delta = sum over the width of dy y:
 *   dv += P^T dy,   dS = P (dy v^T - delta) scale,   dq = dS k,   dk += dS^T q
 * dk and dv are added to, so that the query heads of a group (GQA) can share them; the caller zeroes them first.
 *
 * Queries are taken in blocks, and only [block, keys of its runs] scores exist at a time, run beside run. Neither blocks
 * nor runs change a product: its sums are carried on in the order of queries and of keys.
 */
import {
  type QueryBlock,
  type VisibleKeys,
  blockRows,
  checkVisible,
  forEachQueryBlock,
  scoreBytes,
} from './attention-blocks.js';
import { type Rows, type StoredRows, bindAttentionProducts, productScratchBytes, rowAt } from './attention-products.js';
import { bindAttentionRows } from './attention-rows.js';
import type { HalfKernels } from './half.js';
import { F32_BYTES } from './host.js';
import type { KernelHost } from './host.js';
import type { MatmulKernels } from './matmul/matmul.js';
import type { RowProductKernels, StoredMatrix } from './matmul/row-products.js';

/** What scratch depends on. */
export interface AttentionSizes {
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  /** Query heads that share k and v; default 1. */
  readonly heads?: number;
  /** How k and v are stored; default f32. */
  readonly storage?: StoredMatrix;
}

/** Offsets in bytes, sizes and strides in elements. */
export interface AttentionArguments extends AttentionSizes {
  readonly q: number;
  readonly k: number;
  readonly v: number;
  /** [heads, queries, width], written. */
  readonly y: number;
  /** [heads, queries], written. */
  readonly lse: number;
  readonly scale: number;
  /** One per block of `QUERY_BLOCK` queries; left out: every block looks at all keys. */
  readonly visible?: readonly VisibleKeys[];
  /**
   * Bytes [queries of the block, keys of its runs] of each masked block, one block after the other: [queries, keys] without
   * `visible`; the same for all heads. Left out: every query sees every key that its block looks at.
   */
  readonly mask?: number;
  /** `attentionScratchBytes` of these sizes. */
  readonly scratch: number;
  /** Elements between rows of q and dq; default width. */
  readonly rowStrideQ?: number;
  /** Elements between rows of k, v, dk and dv; default width. Those of f16 and bf16 are dense. */
  readonly rowStrideK?: number;
  /** Elements between rows of y and dy; default width. */
  readonly rowStrideY?: number;
}

/** As forward for one head in f32, where y and lse are what it wrote. */
export interface AttentionBackwardArguments extends Omit<AttentionArguments, 'heads' | 'storage'> {
  readonly dy: number;
  /** [queries, width], written. */
  readonly dq: number;
  /** [keys, width], added to. */
  readonly dk: number;
  /** [keys, width], added to. */
  readonly dv: number;
}

/** Attention of the query heads that share k and v. */
export interface AttentionKernels {
  attention(operands: AttentionArguments): void;
  attentionBackward(operands: AttentionBackwardArguments): void;
  /** Scratch bytes that either direction needs. */
  attentionScratchBytes(sizes: AttentionSizes): number;
}

/** Scratch: two score blocks, then the scratch of the largest product. */
function attentionScratchBytes(sizes: AttentionSizes): number {
  const { keys, width, storage = 'f32' } = sizes;
  return scoreBytes(sizes) * 2 + productScratchBytes(blockRows(sizes), keys, width, storage);
}

/** Binds attention; the matrix products are those of the kernels given. */
export function bindAttention(
  host: KernelHost,
  kernels: Pick<MatmulKernels, 'matmul'> & RowProductKernels & HalfKernels,
): AttentionKernels {
  const { softmax, probabilities, scoreGradient } = bindAttentionRows(host);
  const { multiplyByKeys, sumOverKeys, addOverQueries } = bindAttentionProducts(kernels);
  /** The softmax of each head of a block: they share the bytes of the mask. */
  const softmaxOfHeads = ({ rows, heads, columns, scores, mask }: QueryBlock, lse: number, scale: number): void => {
    const [together, count] = mask === undefined ? [rows, 1] : [rows / heads, heads];
    for (let head = 0; head < count; head++)
      softmax(rowAt(scores, head * together, columns), mask, rowAt(lse, head * together, 1), together, columns, scale);
  };
  return {
    attentionScratchBytes,

    attention(operands) {
      checkAttention(host, operands);
      const { q, k, v, y, lse, width, scale, storage = 'f32' } = operands;
      const { rowStrideQ, rowStrideK: stride, rowStrideY } = stridesOf(operands);
      forEachQueryBlock(operands, (block) => {
        const { first, scores } = block;
        multiplyByKeys(block, [rowAt(q, first, rowStrideQ), rowStrideQ], { first: k, stride, storage }, scores, width);
        softmaxOfHeads(block, rowAt(lse, first, 1), scale);
        sumOverKeys(block, scores, { first: v, stride, storage }, [rowAt(y, first, rowStrideY), rowStrideY], width);
      });
    },

    attentionBackward(operands) {
      checkAttention(host, operands);
      const { q, k, v, y, dy, lse, dq, dk, dv, width, scale } = operands;
      const { rowStrideQ, rowStrideK, rowStrideY } = stridesOf(operands);
      const stored = (first: number): StoredRows => ({ first, stride: rowStrideK, storage: 'f32' });
      forEachQueryBlock(operands, (block) => {
        const { rows, first, columns, scores, gradient, mask } = block;
        const ofBlock = (matrix: number, stride: number): Rows => [rowAt(matrix, first, stride), stride];
        multiplyByKeys(block, ofBlock(q, rowStrideQ), stored(k), scores, width);
        probabilities(scores, mask, rowAt(lse, first, 1), rows, columns, scale);
        addOverQueries(block, scores, ofBlock(dy, rowStrideY), [dv, rowStrideK], width);
        // dP = dy·vᵀ is a product with keys like that of q and k.
        multiplyByKeys(block, ofBlock(dy, rowStrideY), stored(v), gradient, width);
        const yBlock = rowAt(y, first, rowStrideY);
        const dyBlock = rowAt(dy, first, rowStrideY);
        scoreGradient(scores, gradient, yBlock, dyBlock, rowStrideY * F32_BYTES, rows, columns, width, scale);
        sumOverKeys(block, gradient, stored(k), ofBlock(dq, rowStrideQ), width);
        addOverQueries(block, gradient, ofBlock(q, rowStrideQ), [dk, rowStrideK], width);
      });
    },
  };
}

function stridesOf({
  width,
  rowStrideQ = width,
  rowStrideK = width,
  rowStrideY = width,
}: Omit<AttentionArguments, 'heads' | 'storage'>): Required<
  Pick<AttentionArguments, 'rowStrideQ' | 'rowStrideK' | 'rowStrideY'>
> {
  return { rowStrideQ, rowStrideK, rowStrideY };
}

/** Ranges that the matrix products do not check themselves. */
function checkAttention(host: KernelHost, operands: AttentionArguments & { readonly dy?: number }): void {
  const { lse, queries, keys, width, heads = 1, storage = 'f32', k, v, scratch, y, dy } = operands;
  const { rowStrideK, rowStrideY } = stridesOf(operands);
  host.checkSize('attention queries', queries);
  host.checkSize('attention keys', keys);
  host.checkSize('attention width', width);
  host.checkSize('attention heads', heads);
  if (storage !== 'f32' && rowStrideK !== width)
    throw new RangeError(`attention: rows of ${storage} keys are ${rowStrideK} elements apart; they must be dense`);
  host.checkRange('attention lse', lse, heads * queries);
  host.checkRange('attention scratch', scratch, attentionScratchBytes(operands), 1);
  checkVisible(host, operands);
  const extent = (rows: number, stride: number): number => (rows === 0 ? 0 : (rows - 1) * stride + width);
  for (const [name, at] of [
    ['k', k],
    ['v', v],
  ] as const)
    host.checkRange(`attention ${name}`, at, extent(keys, rowStrideK), storage === 'f32' ? F32_BYTES : 2);
  const count = extent(heads * queries, rowStrideY);
  host.checkRange('attention y', y, count);
  if (dy !== undefined) host.checkRange('attention dy', dy, count);
}
