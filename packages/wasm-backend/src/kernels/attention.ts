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
import { f32x4, f32, i32, memory, v128 } from '../emit/index.js';
import type { Expression, Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { matmulScratchBytes } from './matmul/blocking.js';
import type { MatmulArguments, MatmulKernels } from './matmul/matmul.js';
import { forEachRow, rowCursors } from './rows.js';
import { emitExponentials, emitRowMaximum, isEmptyRow } from './softmax.js';
import { emitExp, emitLogOfNormal } from './transcendental.js';
import { Accumulators, forEachVector, vectorConstant } from './vector-loop.js';

/** Queries per block: a multiple of the register tiles' rows that keeps two score blocks of 500 keys in L2. */
const QUERY_BLOCK = 120;

const UNROLL = 2;

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

/** Emits the row kernels between the matrix products, each with and without a mask. */
export function emitAttention(context: KernelContext): void {
  for (const masked of [false, true]) {
    emitAttentionSoftmax(context, masked);
    emitAttentionProbabilities(context, masked);
  }
  emitAttentionScoreGradient(context);
}

const withSuffix = (name: string, masked: boolean): string => (masked ? `${name}Masked` : name);

const SCORE_PARAMETERS = {
  scores: 'i32',
  mask: 'i32',
  lse: 'i32',
  rows: 'i32',
  columns: 'i32',
  scale: 'f32',
} as const;

/** scores <- softmax(scale scores where allowed); lse is written. */
function emitAttentionSoftmax({ module, arithmetic }: KernelContext, masked: boolean): void {
  const name = withSuffix('attentionSoftmax', masked);
  module.function({ name, parameters: SCORE_PARAMETERS, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const scale = f.let('scale', f32x4.splat(p.scale));
    const hidden = vectorConstant(f, 'hidden', -Infinity);
    const rowMaximum = emitRowMaximum(f);
    const normalize = emitExponentials(f, arithmetic);
    const log = emitLogOfNormal(f, arithmetic);
    const cursor = f.local('i32', 'cursor');
    forEachRow(f, p.rows, [[p.scores, rowBytes], [p.lse, F32_BYTES]], () => {
      f.set(cursor, p.scores);
      // The mask cursor itself moves on to the next row.
      const byteCursors = masked ? [p.mask] : [];
      forEachVector(f, { cursors: [cursor], byteCursors, count: p.columns, unroll: UNROLL }, (lanes) => {
        const scaled = f32x4.mul(lanes.load(cursor), scale);
        f.do(lanes.store(cursor, masked ? v128.bitselect(scaled, hidden, lanes.loadMask(p.mask)) : scaled));
      });
      const maximum = rowMaximum(p.scores, p.columns);
      f.if(
        isEmptyRow(maximum),
        () => f.do(memory.fill(p.scores, 0, rowBytes), f32.store(p.lse, Infinity)),
        () => {
          const total = normalize(p.scores, p.scores, p.columns, maximum);
          f.do(v128.store32Lane(p.lse, f32x4.add(maximum, log(total)), 0));
        },
      );
    });
  });
}

/** scores <- e^(scale scores - lse) where allowed, else 0. */
function emitAttentionProbabilities({ module, arithmetic }: KernelContext, masked: boolean): void {
  const name = withSuffix('attentionProbabilities', masked);
  module.function({ name, parameters: SCORE_PARAMETERS, result: 'void', exported: true }, (f, p) => {
    const scale = f.let('scale', f32x4.splat(p.scale));
    const exp = emitExp(f, arithmetic);
    const lse = f.local('v128', 'lseRow');
    forEachRow(f, p.rows, [[p.lse, F32_BYTES]], () => {
      f.set(lse, v128.load32Splat(p.lse));
      const loop = { cursors: [p.scores], byteCursors: masked ? [p.mask] : [], count: p.columns, unroll: UNROLL };
      forEachVector(f, loop, (lanes) => {
        const probability = exp(f32x4.sub(f32x4.mul(lanes.load(p.scores), scale), lse));
        const allowed = masked ? v128.and(probability, lanes.loadMask(p.mask)) : probability;
        f.do(lanes.store(p.scores, allowed));
      });
    });
  });
}

const GRADIENT_PARAMETERS = {
  probabilities: 'i32',
  gradient: 'i32',
  y: 'i32',
  dy: 'i32',
  yStride: 'i32',
  rows: 'i32',
  columns: 'i32',
  width: 'i32',
  scale: 'f32',
} as const;

/** gradient (dP, [rows, columns]) <- P (dP - delta) scale, delta = sum of y dy over a row of width elements. */
function emitAttentionScoreGradient({ module, arithmetic }: KernelContext): void {
  const signature = { name: 'attentionScoreGradient', parameters: GRADIENT_PARAMETERS, result: 'void', exported: true } as const;
  module.function(signature, (f, p) => {
    const scale = f.let('scale', f32x4.splat(p.scale));
    const products = new Accumulators(f, 'product', UNROLL);
    const row = rowCursors(f, p.y, p.dy);
    const [y, dy] = row.cursors as readonly [Local<'i32'>, Local<'i32'>];
    forEachRow(f, p.rows, [[p.y, p.yStride], [p.dy, p.yStride]], () => {
      row.reset();
      products.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [y, dy], count: p.width, unroll: UNROLL }, (lanes) => {
        const sum = products.of(lanes.copy);
        f.set(sum, arithmetic.multiplyAdd(lanes.own(lanes.load(y)), lanes.load(dy), sum));
      });
      const delta = products.sum();
      forEachVector(f, { cursors: [p.probabilities, p.gradient], count: p.columns, unroll: UNROLL }, (lanes) => {
        const weight: Expression<'v128'> = f32x4.mul(lanes.load(p.probabilities), scale);
        f.do(lanes.store(p.gradient, f32x4.mul(weight, f32x4.sub(lanes.load(p.gradient), delta))));
      });
    });
  });
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
  const softmax = bindScoreKernel(host, 'attentionSoftmax');
  const probabilities = bindScoreKernel(host, 'attentionProbabilities');
  const scoreGradient = host.kernel('attentionScoreGradient');
  return {
    attentionScratchBytes,

    attention(operands) {
      checkAttention(host, operands);
      const { k, v, y, lse, keys, width, scale, rowStrideK = width, rowStrideY = width } = operands;
      forEachQueryBlock(operands, ({ rows, first, scores, scratch, query, maskBlock }) => {
        matmul({ a: query, b: k, c: scores, m: rows, n: keys, k: width, transposeB: true, scratch, ...strides(operands) });
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
      forEachQueryBlock(operands, ({ rows, first, scores, gradient, scratch, query, maskBlock }) => {
        const upstream = dy + first * ofY;
        const shared = { scratch, accumulate: true, rowStrideC: rowStrideK };
        matmul({ a: query, b: k, c: scores, m: rows, n: keys, k: width, transposeB: true, scratch, ...strides(operands) });
        probabilities(scores, maskBlock, lse + first * F32_BYTES, rows, keys, scale);
        const transposedDy = { rowStrideB: rowStrideY };
        matmul({ a: scores, b: upstream, c: dv, m: keys, n: width, k: rows, transposeA: true, ...shared, ...transposedDy });
        const overWidth = { rowStrideA: rowStrideY, rowStrideB: rowStrideK };
        matmul({ a: upstream, b: v, c: gradient, m: rows, n: keys, k: width, transposeB: true, scratch, ...overWidth });
        scoreGradient(scores, gradient, y + first * ofY, upstream, ofY, rows, keys, width, scale);
        const dqBlock = dq + first * rowStrideQ * F32_BYTES;
        const overKeys = { rowStrideB: rowStrideK, rowStrideC: rowStrideQ };
        matmul({ a: gradient, b: k, c: dqBlock, m: rows, n: width, k: keys, scratch, ...overKeys });
        const transposedQ = { rowStrideB: rowStrideQ };
        matmul({ a: gradient, b: query, c: dk, m: keys, n: width, k: rows, transposeA: true, ...shared, ...transposedQ });
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

type ScoreKernel = (
  scores: number,
  mask: number | undefined,
  lse: number,
  rows: number,
  columns: number,
  scale: number,
) => void;

function bindScoreKernel(host: KernelHost, name: string): ScoreKernel {
  const plain = host.kernel(withSuffix(name, false));
  const masked = host.kernel(withSuffix(name, true));
  return (scores, mask, lse, rows, columns, scale) => {
    if (mask === undefined) plain(scores, 0, lse, rows, columns, scale);
    else masked(scores, mask, lse, rows, columns, scale);
  };
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
