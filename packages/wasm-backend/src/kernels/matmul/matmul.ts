/**
 * Matrix product of f32 matrices in row-major order, all four transposes:
 *
 *   C[m, n] = op(A) · op(B)      or      C += op(A) · op(B),
 *
 * op(A) is A[m, k], or the transpose of A[k, m]; op(B) is B[k, n], or the transpose of B[n, k]. Batches are loops of the
 * caller. C must not overlap A, B or the scratch.
 *
 * Structure (Goto and van de Geijn, see blocking.ts): for blocks of n, for blocks of k, pack B into panels; for blocks of
 * m, for panels, for tiles of rows: micro-kernel. A is not packed: tiles read it through row pointers (a transposed A with
 * long rows is copied in blocks). B is read in place when it is in row order and there are few rows of A, else packed. One
 * to four rows of A have a product of their own (few-rows.ts).
 *
 * Every element of C is one chain of multiply-adds in the order of k, starting from 0 (or from C). Blocks carry the chain
 * through C itself, so the bits of the result depend on the tier alone, not on the sizes, the blocking or the strides.
 */
import { F32_BYTES } from '../host.js';
import type { KernelContext, KernelHost } from '../host.js';
import {
  COPY_A_MINIMUM_STRIDE_BYTES,
  matmulScratchBytes,
  packedBytes,
  PACK_B_MINIMUM_ROWS,
  TILE_COLUMNS,
} from './blocking.js';
import { DRIVER, emitDriver, LAYOUT_B } from './driver.js';
import { emitFewRows, FEW_ROWS, fewRowsName } from './few-rows.js';
import { emitPacking } from './packing.js';
import { emitStrips } from './strip.js';

/** Operands of a matrix product. Offsets are in bytes, sizes and strides in elements. */
export interface MatmulArguments {
  /** A: [m, k], or [k, m] with `transposeA`. */
  readonly a: number;
  /** B: [k, n], or [n, k] with `transposeB`. */
  readonly b: number;
  /** C: [m, n]. */
  readonly c: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Add to C instead of overwriting it. */
  readonly accumulate?: boolean;
  /** `matmulScratchBytes(m, n, k)` bytes of scratch. */
  readonly scratch: number;
  /** Elements between stored rows of A; default: its stored columns. */
  readonly rowStrideA?: number;
  /** Elements between stored rows of B; default: its stored columns. */
  readonly rowStrideB?: number;
  /** Elements between rows of C; default n. */
  readonly rowStrideC?: number;
}

/** The matrix product bound to a memory. */
export interface MatmulKernels {
  /** Computes C = op(A)·op(B) or C += op(A)·op(B); see the file header for order and exactness. */
  matmul(operands: MatmulArguments): void;
  /** Scratch bytes that `matmul` needs for these sizes. */
  matmulScratchBytes(m: number, n: number, k: number): number;
}

/** Emits the micro-kernels, the packing and one driver per layout of A. */
export function emitMatmul(context: KernelContext): void {
  emitFewRows(context);
  const packing = emitPacking(context);
  for (const layout of ['rows', 'columns'] as const) {
    emitDriver(context, layout, packing, emitStrips(context, layout));
  }
}

/** Binds the matrix product to a memory. */
export function bindMatmul(host: KernelHost): MatmulKernels {
  const driver = { rows: host.kernel(DRIVER.rows), columns: host.kernel(DRIVER.columns) };
  const fewRows = Array.from({ length: FEW_ROWS }, (_, i) => host.kernel(fewRowsName(i + 1)));
  return {
    matmulScratchBytes,
    matmul(operands) {
      const { a, b, c, m, n, k, scratch, transposeA = false, transposeB = false, accumulate = false } = operands;
      const [rowsA, columnsA] = transposeA ? [k, m] : [m, k];
      const [rowsB, columnsB] = transposeB ? [n, k] : [k, n];
      const { rowStrideA = columnsA, rowStrideB = columnsB, rowStrideC = n } = operands;
      host.checkSize('matmul m', m);
      host.checkSize('matmul n', n);
      host.checkSize('matmul k', k);
      host.checkRange('matmul a', a, extent(rowsA, columnsA, rowStrideA));
      host.checkRange('matmul b', b, extent(rowsB, columnsB, rowStrideB));
      host.checkRange('matmul c', c, extent(m, n, rowStrideC));
      host.checkRange('matmul scratch', scratch, matmulScratchBytes(m, n, k), 1);
      if (m === 0 || n === 0) return;
      const unpacked = m < PACK_B_MINIMUM_ROWS ? LAYOUT_B.inPlace : LAYOUT_B.rows;
      const layoutB = transposeB ? LAYOUT_B.transposed : unpacked;
      const strides = [rowStrideA, rowStrideB, rowStrideC].map((stride) => stride * F32_BYTES) as [
        number,
        number,
        number,
      ];
      if (m <= FEW_ROWS && !transposeA && !transposeB) {
        if (!accumulate) for (let i = 0; i < m; i += 1) host.clear(c + i * strides[2], n);
        fewRows[m - 1]!(a, strides[0], b, strides[1], c, strides[2], n, k);
        return;
      }
      const copyA = transposeA && strides[0] >= COPY_A_MINIMUM_STRIDE_BYTES && n > TILE_COLUMNS;
      const panels = scratch + matmulScratchBytes(m, n, k) - packedBytes(n, k);
      const run = transposeA ? driver.columns : driver.rows;
      run(
        a,
        strides[0],
        b,
        strides[1],
        layoutB,
        c,
        strides[2],
        m,
        n,
        k,
        accumulate ? 1 : 0,
        scratch,
        panels,
        copyA ? 1 : 0,
      );
    },
  };
}

/** Elements from the first to the last of a [rows, columns] matrix whose rows are `stride` elements apart. */
function extent(rows: number, columns: number, stride: number): number {
  if (rows > 0 && stride < columns) {
    throw new RangeError(
      `matmul: a row stride of ${stride} elements is less than the ${columns} columns of the matrix`,
    );
  }
  return rows === 0 ? 0 : (rows - 1) * stride + columns;
}
