/**
 * Products of a few rows with the transpose of a matrix: what a layer costs while one token after another is decoded.
 *
 *   C[i, j] = sum over p of A[i, p] B[j, p]      A f32 [m, k] with m <= 4, B [n, k] in f32, f16 or bf16, C f32 [m, n]
 *
 * Each row of B is read once, as it lies, and nothing is packed, so that the time is that of reading B. Every element is
 * eight interleaved partial sums, joined pairwise: its bits depend on the tier and on k, not on m, n or the strides, and
 * differ from those of `matmul`, which adds in order.
 */
import { i32, i32x4 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../../emit/index.js';
import { type HalfName, WIDENING } from '../half.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext, KernelHost } from '../host.js';
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

/** Rows of A that are taken at once, and how many rows of B with them: eight accumulators or six. */
const ROWS_OF_B: readonly number[] = [4, 2, 1, 1];

/** Largest m of `rowProducts`; beyond it packing B for `matmul` pays. */
export const mostProductRows: number = ROWS_OF_B.length;

const UNROLL = 2;
const STORAGES: readonly StoredMatrix[] = ['f32', 'f16', 'bf16'];
const bytesOf = (storage: StoredMatrix): number => (storage === 'f32' ? F32_BYTES : 2);
const exportName = (storage: StoredMatrix, m: number): string => `rowProducts_${storage}_${m}`;

const PARAMETERS = { a: 'i32', b: 'i32', c: 'i32', cStride: 'i32', n: 'i32', k: 'i32' } as const;
type Parameters = { readonly [K in keyof typeof PARAMETERS]: Local<'i32'> };

/** Emits one function for each storage of B and each number of rows of A. */
export function emitRowProducts(context: KernelContext): void {
  for (const storage of STORAGES) {
    ROWS_OF_B.forEach((rowsOfB, i) => {
      const name = exportName(storage, i + 1);
      context.module.function({ name, parameters: PARAMETERS, result: 'void', exported: true }, (f, p) => {
        const bBytes = f.let('bBytes', i32.mul(p.k, bytesOf(storage)));
        const aBytes = f.let('aBytes', i32.mul(p.k, F32_BYTES));
        const widen = storage === 'f32' ? undefined : WIDENING[storage](f);
        const given = { aBytes, bBytes, widen, m: i + 1 };
        for (const rows of rowsOfB > 1 ? [rowsOfB, 1] : [1]) {
          f.countDown(p.n, rows, () => {
            writeBlock(f, p, context, { ...given, rows });
            f.set(p.b, i32.add(p.b, i32.mul(bBytes, rows)));
            f.set(p.c, i32.add(p.c, rows * F32_BYTES));
          });
        }
      });
    });
  }
}

interface Block {
  /** From the codes of B to f32, where B holds codes. */
  readonly widen: ((codes: Local<'v128'>) => Expression<'v128'>) | undefined;
  /** Rows of A and of B. */
  readonly m: number;
  readonly rows: number;
  /** Bytes from row to row. */
  readonly aBytes: Local<'i32'>;
  readonly bBytes: Local<'i32'>;
}

/** All products of m rows of A with `rows` rows of B. */
function writeBlock(f: FunctionBuilder, p: Parameters, { arithmetic }: KernelContext, block: Block): void {
  const { widen, m, rows, aBytes, bBytes } = block;
  const cursors = (count: number, start: Local<'i32'>, step: Local<'i32'>): Local<'i32'>[] => {
    const list: Local<'i32'>[] = [];
    for (let i = 0; i < count; i += 1) list.push(f.let('cursor', i === 0 ? start : i32.add(list[i - 1]!, step)));
    return list;
  };
  // One row of A starts where the one before it ends, so each has a cursor of its own.
  const ofA = cursors(m, p.a, aBytes);
  const ofB = cursors(rows, p.b, bBytes);
  const sums = ofA.map(() => ofB.map(() => new Accumulators(f, 'sum', UNROLL)));
  for (const sum of sums.flat()) sum.fill(i32x4.constant(0, 0, 0, 0));
  const loop = { cursors: widen ? ofA : [...ofA, ...ofB], halfCursors: widen ? ofB : [], count: p.k, unroll: UNROLL };
  forEachVector(f, loop, (lanes) => {
    const left = ofA.map((cursor) => f.let('left', lanes.own(lanes.load(cursor))));
    ofB.forEach((cursor, j) => {
      // Both sides: 0 times an infinity that is not a lane's own would be NaN.
      const stored = f.let('stored', lanes.own(widen ? lanes.loadHalf(cursor) : lanes.load(cursor)));
      const right = widen ? f.let('right', widen(stored)) : stored;
      left.forEach((value, i) => {
        const sum = sums[i]![j]!.of(lanes.copy);
        f.set(sum, arithmetic.multiplyAdd(value, right, sum));
      });
    });
  });
  const row = f.let('row', p.c);
  sums.forEach((ofRow) => {
    const element = f.let('element', row);
    for (const sum of ofRow) {
      f.do(single.store(element, sum.sum()));
      f.set(element, i32.add(element, F32_BYTES));
    }
    f.set(row, i32.add(row, p.cStride));
  });
}

/** Binds the products to a memory. */
export function bindRowProducts(host: KernelHost): RowProductKernels {
  const kernels = new Map(
    STORAGES.flatMap((storage) =>
      ROWS_OF_B.map((_, i) => [exportName(storage, i + 1), host.kernel(exportName(storage, i + 1))] as const),
    ),
  );
  return {
    rowProducts({ a, b, c, m, n, k, storage, rowStrideC = n }) {
      if (!(m >= 0 && m <= mostProductRows))
        throw new RangeError(`rowProducts takes 0 to ${mostProductRows} rows, got ${m}: use matmul`);
      host.checkSize('rowProducts n', n);
      host.checkSize('rowProducts k', k);
      host.checkRange('rowProducts a', a, m * k);
      host.checkRange('rowProducts b', b, n * k, bytesOf(storage));
      host.checkRange('rowProducts c', c, m === 0 ? 0 : (m - 1) * rowStrideC + n);
      if (m > 0) kernels.get(exportName(storage, m))!(a, b, c, rowStrideC * F32_BYTES, n, k);
    },
  };
}
