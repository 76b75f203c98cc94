/**
 * Matrix product of f32 matrices in row-major order, all four transposes:
 *
 *   C[m, n] = op(A) · op(B)      or      C += op(A) · op(B),
 *
 * op(A) is A[m, k], or the transpose of A[k, m]; op(B) is B[k, n], or the transpose of B[n, k]. Then, where it is asked for,
 * C = activation(C + bias) + residual (epilogue.ts). C must not overlap another operand or the scratch.
 *
 * Structure (Goto and van de Geijn, see blocking.ts): B is packed into panels, for cells of C, for blocks of k, for panels, for
 * tiles of rows: micro-kernel. A is read through row pointers; a transposed A is packed. One to four rows of A have a product
 * of their own, which reads B once as it lies (few-rows.ts).
 *
 * Every element of C is one chain of multiply-adds in the order of k, starting from 0 (or from C). Blocks carry the chain
 * through C itself, so the bits of the result depend on the arithmetic alone (fused or not), not on the tier, the sizes, the
 * blocking, the strides, the threads, or whether B was packed before.
 */
import { F32_BYTES } from '../host.js';
import type { KernelContext, KernelHost } from '../host.js';
import { groupLayout, matmulScratchBytes, roundUp, TILES } from './blocking.js';
import type { ScratchOptions } from './blocking.js';
import { emitDriver } from './driver.js';
import { EPILOGUE, EPILOGUE_PART } from './epilogue.js';
import type { ProductActivation } from './epilogue.js';
import { bindFewRows, emitFewRows, mostFewRows } from './few-rows.js';
import { bindProduct } from './product.js';
import type { Product } from './product.js';

/** A right operand as it is stored. Offsets are in bytes, sizes and strides in elements. */
export interface RightOperand {
  /** B: [k, n], or [n, k] with `transposeB`. */
  readonly b: number;
  readonly n: number;
  readonly k: number;
  readonly transposeB?: boolean;
  /** Elements between stored rows of B; default: its stored columns. */
  readonly rowStrideB?: number;
}

/** Operands of a matrix product. Offsets are in bytes, sizes and strides in elements. */
export interface MatmulArguments extends RightOperand {
  /** A: [m, k], or [k, m] with `transposeA`. */
  readonly a: number;
  /** C: [m, n]. */
  readonly c: number;
  readonly m: number;
  readonly transposeA?: boolean;
  /** Add to C instead of overwriting it. */
  readonly accumulate?: boolean;
  /** `matmulScratchBytes` of these sizes. */
  readonly scratch: number;
  /** Elements between stored rows of A; default: its stored columns. */
  readonly rowStrideA?: number;
  /** Elements between rows of C; default n. */
  readonly rowStrideC?: number;
  /** What `packWeight` has written for this B, which is then not read. */
  readonly packed?: number | undefined;
  /** [n], added to every row. */
  readonly bias?: number | undefined;
  readonly activation?: ProductActivation | undefined;
  /** [m, n], added last. */
  readonly residual?: number | undefined;
  /** Elements between rows of the residual; default n. */
  readonly rowStrideResidual?: number;
  /** Products: all of A, B, C and residual follow one another, bias and `packed` serve all; default 1. */
  readonly batch?: number;
}

/** The matrix product bound to a memory. */
export interface MatmulKernels {
  /** Computes C; see the file header for order and exactness. */
  matmul(operands: MatmulArguments): void;
  /** Scratch bytes that `matmul` needs for these sizes. */
  matmulScratchBytes(m: number, n: number, k: number, options?: ScratchOptions): number;
  /** Writes B in the form that `matmul` takes as `packed`: `packedWeightBytes(n, k)` bytes, which depend on the tier. */
  packWeight(operand: RightOperand, packed: number): void;
  packedWeightBytes(n: number, k: number): number;
}

/** Emits the micro-kernels, the packing, the cells and the epilogue. */
export function emitMatmul(context: KernelContext): void {
  emitFewRows(context);
  emitDriver(context);
}

/** Binds the matrix product to a memory. */
export function bindMatmul(host: KernelHost): MatmulKernels {
  const epilogueKernel = host.kernel(EPILOGUE);
  const fewRows = bindFewRows(host);
  const products = bindProduct(host);
  const panelWidth = TILES[host.tier].columns;
  const packedWeightBytes = (n: number, k: number): number => roundUp(n, panelWidth) * k * F32_BYTES;

  const checkedB = ({ b, n, k, transposeB = false, rowStrideB }: RightOperand, batch: number): RightOfProduct => {
    const [rows, columns] = transposeB ? [n, k] : [k, n];
    const stride = rowStrideB ?? columns;
    host.checkRange('matmul b', b, extent(rows, columns, stride, batch));
    return { b, transposeB, strideB: stride * F32_BYTES, batchB: rows * stride * F32_BYTES };
  };
  const checkedPanels = (n: number, k: number, packed: number): RightOfProduct => {
    host.checkRange('matmul packed', packed, packedWeightBytes(n, k), 1);
    return { b: 0, transposeB: false, strideB: 0, batchB: 0 };
  };
  const checkSizes = (n: number, k: number): void => {
    host.checkSize('matmul n', n);
    host.checkSize('matmul k', k);
  };

  const runOne = (product: Product): void => {
    const { m, n, k, c, strideC } = product;
    if (k > 0 && !isFew(product)) {
      products.run(product);
      return;
    }
    fewRows(product);
    if (product.epilogue !== 0) {
      const { epilogue, bias, residual, strideResidual } = product;
      epilogueKernel(c, strideC, m, n, epilogue, bias, residual, strideResidual);
    }
  };

  return {
    matmulScratchBytes,
    packedWeightBytes,
    packWeight(operand, packed) {
      const { n, k } = operand;
      checkSizes(n, k);
      const source = checkedB(operand, 1);
      checkedPanels(n, k, packed);
      if (n > 0 && k > 0) products.pack({ ...source, n, k }, packed);
    },
    matmul(operands) {
      const { a, c, m, n, k, scratch, transposeA = false, accumulate = false, batch = 1 } = operands;
      const { packed, bias, activation, residual } = operands;
      host.checkSize('matmul m', m);
      host.checkSize('matmul batch', batch);
      checkSizes(n, k);
      const right = packed === undefined ? checkedB(operands, batch) : checkedPanels(n, k, packed);
      const [rowsA, columnsA] = transposeA ? [k, m] : [m, k];
      const { rowStrideA = columnsA, rowStrideC = n, rowStrideResidual = n } = operands;
      host.checkRange('matmul a', a, extent(rowsA, columnsA, rowStrideA, batch));
      host.checkRange('matmul c', c, extent(m, n, rowStrideC, batch));
      if (bias !== undefined) host.checkRange('matmul bias', bias, n);
      if (residual !== undefined) host.checkRange('matmul residual', residual, extent(m, n, rowStrideResidual, batch));
      host.checkRange('matmul scratch', scratch, matmulScratchBytes(m, n, k, { batch, transposeA }), 1);
      if (m === 0 || n === 0 || batch === 0) return;
      const product: Product = {
        m,
        n,
        k,
        a,
        transposeA,
        b: right.b,
        strideB: right.strideB,
        transposeB: right.transposeB,
        packed,
        c,
        accumulate,
        scratch,
        strideA: rowStrideA * F32_BYTES,
        strideC: rowStrideC * F32_BYTES,
        epilogue:
          (bias === undefined ? 0 : EPILOGUE_PART.bias) +
          (activation === undefined ? 0 : EPILOGUE_PART[activation]) +
          (residual === undefined ? 0 : EPILOGUE_PART.residual),
        bias: bias ?? 0,
        residual: residual ?? 0,
        strideResidual: rowStrideResidual * F32_BYTES,
      };
      const strides = { strideA: rowsA * product.strideA, strideB: right.batchB, strideC: m * product.strideC };
      const isPlain = product.epilogue === 0 && packed === undefined && k > 0 && !isFew(product);
      const groups = isPlain ? groupLayout(batch, m, n, k) : undefined;
      if (groups) {
        products.runGroups(product, { count: batch, ...strides }, groups);
        return;
      }
      if (batch === 1) return runOne(product);
      for (let z = 0; z < batch; z += 1)
        runOne({
          ...product,
          a: a + z * strides.strideA,
          b: product.b + z * strides.strideB,
          c: c + z * strides.strideC,
          residual: product.residual + z * m * product.strideResidual,
        });
    },
  };
}

/** The right operand of a product, offsets and strides in bytes. */
type RightOfProduct = Pick<Product, 'b' | 'transposeB' | 'strideB'> & { readonly batchB: number };

/** Whether a product is one of `few-rows.ts`. */
const isFew = ({ m, transposeA, transposeB, packed }: Product): boolean =>
  m <= mostFewRows && !transposeA && !transposeB && packed === undefined;

/** Elements from the first to the last of a number of [rows, columns] matrices whose rows are `stride` elements apart. */
function extent(rows: number, columns: number, stride: number, matrices: number): number {
  if (rows > 0 && matrices > 0 && stride < columns) {
    throw new RangeError(
      `matmul: a row stride of ${stride} elements is less than the ${columns} columns of the matrix`,
    );
  }
  return rows === 0 || matrices === 0 ? 0 : (rows * matrices - 1) * stride + columns;
}
