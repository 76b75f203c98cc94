/**
 * Products with a weight matrix in any storage, few rows or many.
 *
 *   y = x·Wᵀ   x [.., columns] → y [.., rows]        y = x·W   x [.., rows] → y [.., columns]
 *
 * What is not f32 is widened chunk by chunk into scratch; few rows read f32, f16 and bf16 as they lie.
 */
import { type TensorSpec, sizeOf } from '@mindseye/tensor-core';
import { type Kernels, type StoredMatrix, mostFewRows, mostProductRows } from '../kernels/index.js';
import { forEachRunOfRows } from './banked-weight.js';
import { isBanked } from './banks.js';
import type { KeptForm } from './kept-forms.js';
import { type KernelCall, type KernelOperand, type KeptFormRequest, clear, isF32, rowsOf } from './kernel-row.js';
import { panelsIn, panelsOf } from './packed-weight.js';
import { type QuantizedFormat, type WeightLayout, rowSource, weightLayout } from './stored-weight.js';

export interface Product {
  readonly x: KernelOperand;
  readonly weight: readonly KernelOperand[];
  readonly format: QuantizedFormat | null;
  readonly y: KernelOperand;
  /** Added to every row of x·Wᵀ. */
  readonly bias?: KernelOperand | undefined;
  /** Elements between rows of y; its columns when left out. */
  readonly rowStrideY?: number;
  /** Room for the panels that `keptPanels` has asked for. */
  readonly kept?: KeptForm | undefined;
}

export type ProductSpecs = Pick<Product, 'format'> & { readonly x: TensorSpec; readonly weight: readonly TensorSpec[] };

/** Widening f16 for every four rows of x costs more than widening it once. */
const mostRowsOfF16 = 4;

const layoutFor = ({ x, weight, format }: ProductSpecs): WeightLayout =>
  weightLayout(weight, format, rowsOf(x) <= mostProductRows ? 'few' : 'many');

/** Scratch of both products: a chunk of the weight, its scales, then what the blocked product needs. */
export function productScratch(kernels: Kernels, specs: ProductSpecs): number {
  const { columns, chunkRows, chunkBytes, scaleBytes } = layoutFor(specs);
  const m = rowsOf(specs.x);
  // Rows of a chunk are the n of y = x·Wᵀ and the k of y = x·W.
  const blocked = [
    kernels.matmulScratchBytes(m, chunkRows, columns),
    kernels.matmulScratchBytes(m, columns, chunkRows),
  ];
  return chunkBytes + scaleBytes + Math.max(...blocked);
}

/** The panels of a dense f32 weight, of y = x·Wᵀ or, `transposed`, of y = x·W, where they are worth keeping. */
export function keptPanels(
  kernels: Kernels,
  [x, weight]: readonly TensorSpec[],
  transposed: boolean,
): KeptFormRequest | undefined {
  const [m, [rows, columns]] = [rowsOf(x!), weight!.shape as readonly [number, number]];
  if (!isF32(weight) || m <= (transposed ? mostFewRows : mostProductRows)) return undefined;
  const sizes = transposed ? { n: columns, k: rows } : { n: rows, k: columns, transposeB: true };
  return panelsOf(kernels, 1, m, sizes);
}

/** Calls `visit` for each chunk of the weight with where it lies as f32, and with the scratch that is left. */
function forEachChunk(
  kernels: Kernels,
  { weight, format }: Product,
  { rows, chunkRows, chunkBytes, scaleBytes }: WeightLayout,
  working: number,
  visit: (from: number, count: number, at: number, scratch: number) => void,
): void {
  const read = rowSource(kernels, weight, format);
  for (let from = 0; from < rows; from += chunkRows) {
    const count = Math.min(chunkRows, rows - from);
    visit(from, count, read(from, count, working, working + chunkBytes), working + chunkBytes + scaleBytes);
  }
}

/** y = x·Wᵀ. */
export function multiplyByTranspose(kernels: Kernels, product: Product, working: number): void {
  const { x, weight, format, y, bias, kept } = product;
  const layout = layoutFor(product);
  const [m, n, k] = [rowsOf(x), layout.rows, layout.columns];
  const { rowStrideY = n } = product;
  const [{ pointer, dtype }] = weight as readonly [KernelOperand];
  if (!format && m <= (dtype === 'f16' ? mostRowsOfF16 : mostProductRows)) {
    const storage = dtype as StoredMatrix;
    kernels.rowProducts({ a: x.pointer, b: pointer, c: y.pointer, m, n, k, storage, rowStrideC: rowStrideY });
    addBias(kernels, y, bias);
    return;
  }
  const isFew = m <= mostProductRows;
  forEachChunk(kernels, product, layout, working, (from, count, b, scratch) => {
    const right = { b, n: count, k, transposeB: true };
    const part = { ...right, a: x.pointer, c: y.pointer + 4 * from, m, rowStrideC: rowStrideY };
    if (isFew) kernels.rowProducts({ ...part, storage: 'f32' });
    else
      kernels.matmul({
        ...part,
        scratch,
        packed: panelsIn(kernels, kept, right),
        bias: bias && bias.pointer + 4 * from,
      });
  });
  if (isFew) addBias(kernels, y, bias);
}

/** y = x·Wᵀ with a weight that may lie in a bank. @param into room for a run of its rows, `bankedRunBytes`. */
export function multiplyFromBanks(
  product: Product,
  fetch: KernelCall<unknown>['fetch'],
  into: number,
  multiply: (product: Product) => void,
): boolean {
  const { weight, y } = product;
  if (!weight.some(({ pointer }) => isBanked(pointer))) return false;
  forEachRunOfRows(weight, fetch, into, (from, rows) =>
    multiply({
      ...product,
      weight: rows,
      bias: undefined,
      kept: undefined,
      y: { ...y, pointer: y.pointer + 4 * from },
      rowStrideY: weight[0]!.shape[0]!,
    }),
  );
  return true;
}

/** y = x·W: rows of the weight are added up, chunk by chunk. */
export function multiplyByWeight(kernels: Kernels, product: Product, working: number): void {
  const { x, y, kept } = product;
  const layout = layoutFor(product);
  const [m, n, rowStrideA] = [rowsOf(x), layout.columns, layout.rows];
  if (layout.rows === 0) clear(kernels, y);
  forEachChunk(kernels, product, layout, working, (from, k, b, scratch) => {
    const right = { b, n, k };
    const part = { ...right, a: x.pointer + 4 * from, c: y.pointer, m, rowStrideA, accumulate: from > 0 };
    kernels.matmul({ ...part, scratch, packed: panelsIn(kernels, kept, right) });
  });
}

/** Adds a bias to every row of y. */
export function addBias(kernels: Kernels, y: KernelOperand, bias: KernelOperand | undefined): void {
  if (bias) kernels.addRowVector(y.pointer, y.pointer, bias.pointer, rowsOf(y), sizeOf(bias.shape));
}
