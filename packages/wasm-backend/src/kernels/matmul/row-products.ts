/**
 * Products of a few rows with the transpose of a matrix: what a layer costs while one token after another is decoded.
 *
 *   C[i, j] = sum over p of A[i, p] B[j, p]      A f32 [m, k] with m <= 16, B [n, k] in f32, f16 or bf16, C f32 [m, n]
 *
 * B is read once, as it lies and row after row, in one stream that the processor fetches ahead of; nothing is packed, so that
 * the time is that of reading B. More rows of A go over blocks of B again, which the cache has kept. Every element is twenty
 * interleaved partial sums, joined pairwise: its bits depend on the tier and on k, not on m, n, the strides or the threads, and
 * differ from those of `matmul`, which adds in order.
 */
import { f32x4, i32, i32x4, v128 } from '../../emit/index.js';
import type { FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { type HalfName, WIDENING } from '../half.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext, KernelHost } from '../host.js';
import type { Tier } from '../tier.js';
import { Accumulators, forEachVector, single } from '../vector-loop.js';

/** How B is stored. */
export type StoredMatrix = 'f32' | HalfName;

/** Operands of a product of few rows. Offsets in bytes, sizes and strides in elements. */
export interface RowProductArguments {
  /** A f32 [m, k], dense. */
  readonly a: number;
  /** B [n, k], dense, of `storage`. */
  readonly b: number;
  /** C f32 [m, n]. */
  readonly c: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly storage: StoredMatrix;
  /** Elements between rows of C; default n. */
  readonly rowStrideC?: number;
}

export interface RowProductKernels {
  /** C = A·Bᵀ for at most `mostProductRows` rows of A; see the file header for order and exactness. */
  rowProducts(operands: RowProductArguments): void;
}

/** Largest m of `rowProducts`; beyond it packing B for `matmul` pays. */
export const mostProductRows = 16;

/** Partial sums of an element, in vectors, beside that of the last columns. */
const COPIES = 4;
const ROUND_COLUMNS = 4 * COPIES;
/**
 * Rows of A at once, the most first: their sums fit the registers. Where vectors are joined this is a matter of correctness
 * too: V8 13.6 lets a joined sum begin as the 128-bit zero of one that is not joined, which fills a register but only half of
 * a sum that is kept in memory for want of one. So all pairs of sums are joined here, and few enough.
 */
const rowsAtOnce = (tier: Tier, storage: StoredMatrix): readonly number[] =>
  tier === 'revectorized' && storage !== 'f16' ? [4, 2, 1] : [2, 1];
/** Bytes of B that all rows of A meet before the next, well within a second-level cache. */
const BLOCK_BYTES = 2 ** 17;
/** Bytes of B that are worth a thread of their own. */
const GRAIN_BYTES = 2 ** 18;
const STORAGES: readonly StoredMatrix[] = ['f32', 'f16', 'bf16'];

/** Bytes of an element. */
export const storedBytes = (storage: StoredMatrix): number => (storage === 'f32' ? F32_BYTES : 2);

const exportName = (storage: StoredMatrix): string => `rowProducts_${storage}`;

const PARAMETERS = {
  a: 'i32',
  b: 'i32',
  c: 'i32',
  cStride: 'i32',
  n: 'i32',
  k: 'i32',
  m: 'i32',
  blockRows: 'i32',
} as const;
const BLOCK = {
  a: 'i32',
  b: 'i32',
  c: 'i32',
  cStride: 'i32',
  n: 'i32',
  k: 'i32',
  /** Elements of C from here on that are still to be computed, at least n. */
  free: 'i32',
} as const;

/** Emits one function for each storage of B. */
export function emitRowProducts(context: KernelContext): void {
  for (const storage of STORAGES) {
    const atOnce = rowsAtOnce(context.tier, storage);
    const blocks = atOnce.map((count) => emitBlock(context, storage, count));
    const signature = { name: exportName(storage), parameters: PARAMETERS, result: 'void', exported: true } as const;
    context.module.function(signature, (f, p) => {
      const [rows, count] = [f.local('i32', 'rows'), f.local('i32', 'count')];
      const [a, c] = [f.local('i32', 'a'), f.local('i32', 'c')];
      const aBytes = f.let('aBytes', i32.mul(p.k, F32_BYTES));
      const bBytes = f.let('bBytes', i32.mul(p.k, storedBytes(storage)));
      f.loop((again) => {
        f.set(rows, p.n);
        f.if(i32.ltUnsigned(p.blockRows, rows), () => f.set(rows, p.blockRows));
        f.set(a, p.a);
        f.set(c, p.c);
        f.set(count, p.m);
        blocks.forEach((block, i) =>
          f.countDown(count, atOnce[i]!, () => {
            f.callVoid(block, a, p.b, c, p.cStride, rows, p.k, p.n);
            f.set(a, i32.add(a, i32.mul(aBytes, atOnce[i]!)));
            f.set(c, i32.add(c, i32.mul(p.cStride, atOnce[i]!)));
          }),
        );
        f.set(p.b, i32.add(p.b, i32.mul(bBytes, rows)));
        f.set(p.c, i32.add(p.c, i32.mul(rows, F32_BYTES)));
        f.set(p.n, i32.sub(p.n, rows));
        f.branchIf(again, p.n);
      });
    });
  }
}

/**
 * Emits the product of m rows of A with rows of B, one of them after the other.
 *
 * V8 begins to join vectors at stores side by side. So where it joins, sums go through memory: through the elements of C that
 * come next. The last rows of B, which have none, keep theirs in registers.
 */
function emitBlock(context: KernelContext, storage: StoredMatrix, m: number): FunctionReference<'void'> {
  const { module, tier } = context;
  const signature = {
    name: `${exportName(storage)}_${m}`,
    parameters: BLOCK,
    result: 'void',
    exported: false,
  } as const;
  return module.function(signature, (f, p) => {
    const multiply = emitRow(f, p, context, storage, m);
    if (tier === 'revectorized') {
      const joined = f.let('joined', i32.sub(p.free, ROUND_COLUMNS - 1));
      f.if(i32.gtSigned(joined, 0), () => {
        f.if(i32.ltUnsigned(p.n, joined), () => f.set(joined, p.n));
        f.set(p.n, i32.sub(p.n, joined));
        f.countDown(joined, 1, () => multiply('memory'));
      });
    }
    f.countDown(p.n, 1, () => multiply('registers'));
  });
}

/** Prepares what writes the product with one row of B and moves on to the next. */
function emitRow(
  f: FunctionBuilder,
  p: { readonly [K in keyof typeof BLOCK]: Local<'i32'> },
  { arithmetic }: KernelContext,
  storage: StoredMatrix,
  m: number,
): (sumsMeetIn: 'memory' | 'registers') => void {
  const aBytes = f.let('aBytes', i32.mul(p.k, F32_BYTES));
  const bBytes = f.let('bBytes', i32.mul(p.k, storedBytes(storage)));
  const zero = f.let('zero', i32x4.constant(0, 0, 0, 0));
  const widen = storage === 'f32' ? undefined : WIDENING[storage](f);
  const rows = Array.from({ length: m }, () => f.local('i32', 'row'));
  const outputs = rows.map(() => f.local('i32', 'output'));
  const sums = rows.map(() => new Accumulators(f, 'sum', COPIES));
  const copies = Array.from({ length: COPIES }, (_, copy) => copy);
  const lasts = rows.map(() => new Accumulators(f, 'last', 1));
  const [b, remaining] = [f.local('i32', 'b'), f.local('i32', 'remaining')];
  /** Two vectors side by side, which V8 joins. */
  const multiplyPair = (copy: number): void => {
    const pair = [copy, copy + 1];
    const stored = pair.map((at) => f.let('stored', widen ? v128.load16x4Unsigned(b, 8 * at) : v128.load(b, 16 * at)));
    const right = stored.map((codes) => (widen ? f.let('right', widen(codes)) : codes));
    rows.forEach((row, i) => {
      const left = pair.map((at) => f.let('left', v128.load(row, 16 * at)));
      pair.forEach((at, which) => {
        const sum = sums[i]!.of(at % COPIES);
        f.set(sum, arithmetic.multiplyAdd(left[which]!, right[which]!, sum));
      });
    });
  };
  return (sumsMeetIn) => {
    rows.forEach((row, i) => {
      f.set(row, i === 0 ? p.a : i32.add(rows[i - 1]!, aBytes));
      f.set(outputs[i]!, i === 0 ? p.c : i32.add(outputs[i - 1]!, p.cStride));
      sums[i]!.fill(zero);
      lasts[i]!.fill(zero);
    });
    f.set(b, p.b);
    f.set(remaining, p.k);
    // One row of A has little to do between two looks at the end: it takes two rounds at a time.
    for (const rounds of m === 1 ? [2, 1] : [1])
      f.countDown(remaining, rounds * ROUND_COLUMNS, () => {
        for (let copy = 0; copy < rounds * COPIES; copy += 2) multiplyPair(copy);
        f.set(b, i32.add(b, rounds * ROUND_COLUMNS * storedBytes(storage)));
        for (const row of rows) f.set(row, i32.add(row, rounds * ROUND_COLUMNS * F32_BYTES));
      });
    const loop = { cursors: widen ? rows : [...rows, b], halfCursors: widen ? [b] : [] };
    forEachVector(f, { ...loop, count: remaining, unroll: 1 }, (lanes) => {
      // Both sides: 0 times an infinity that is not a lane's own would be NaN.
      const stored = f.let('stored', lanes.own(widen ? lanes.loadHalf(b) : lanes.load(b)));
      const right = widen ? f.let('right', widen(stored)) : stored;
      rows.forEach((row, i) => {
        const last = lasts[i]!.of(0);
        f.set(last, arithmetic.multiplyAdd(lanes.own(lanes.load(row)), right, last));
      });
    });
    if (sumsMeetIn === 'memory')
      sums.forEach((sum, i) => {
        f.do(...copies.map((copy) => v128.store(outputs[i]!, sum.of(copy), 16 * copy)));
        for (const copy of copies) f.set(sum.of(copy), v128.load(outputs[i]!, 16 * copy));
      });
    sums.forEach((sum, i) => {
      const last = lasts[i]!;
      f.set(
        last.of(0),
        f32x4.add(
          last.of(0),
          pairwise(
            f,
            copies.map((copy) => sum.of(copy)),
          ),
        ),
      );
      f.do(single.store(outputs[i]!, last.sum()));
    });
    f.set(p.b, i32.add(p.b, bBytes));
    f.set(p.c, i32.add(p.c, F32_BYTES));
  };
}

/** The sum of vectors, lane by lane. */
function pairwise(f: FunctionBuilder, [first, ...others]: readonly Local<'v128'>[]): Local<'v128'> {
  if (others.length === 0) return first!;
  const all = [first!, ...others];
  const half = all.length / 2;
  return pairwise(
    f,
    all.slice(0, half).map((vector, i) => f.let('partial', f32x4.add(vector, all[half + i]!))),
  );
}

/** Binds the products to a memory. */
export function bindRowProducts(host: KernelHost): RowProductKernels {
  const kernels = new Map(STORAGES.map((storage) => [storage, host.kernel(exportName(storage))] as const));
  return {
    rowProducts({ a, b, c, m, n, k, storage, rowStrideC = n }) {
      if (!(m >= 0 && m <= mostProductRows))
        throw new RangeError(`rowProducts takes 0 to ${mostProductRows} rows, got ${m}: use matmul`);
      const bytes = storedBytes(storage);
      host.checkSize('rowProducts n', n);
      host.checkSize('rowProducts k', k);
      host.checkRange('rowProducts a', a, m * k);
      host.checkRange('rowProducts b', b, n * k, bytes);
      host.checkRange('rowProducts c', c, m === 0 ? 0 : (m - 1) * rowStrideC + n);
      if (m === 0 || n === 0) return;
      const rowBytes = bytes * Math.max(1, k);
      const blockRows = rowsAtOnce(host.tier, storage).includes(m)
        ? n
        : Math.max(1, Math.floor(BLOCK_BYTES / rowBytes));
      const grain = Math.max(1, Math.ceil(GRAIN_BYTES / rowBytes));
      host.divide(kernels.get(storage)!, { count: n, grain }, (from, size) => {
        return [a, b + from * bytes * k, c + F32_BYTES * from, F32_BYTES * rowStrideC, size, k, m, blockRows];
      });
    },
  };
}
