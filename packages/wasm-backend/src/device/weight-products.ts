/**
 * Products with a weight matrix in any storage, few rows or many.
 *
 *   y = x·Wᵀ   x [.., columns] → y [.., rows]        y = x·W   x [.., rows] → y [.., columns]
 *
 * What is not f32 is widened chunk by chunk into scratch; few rows read f32, f16 and bf16 as they lie.
 */
import { type TensorSpec, sizeOf } from '@mindseye/tensor-core';
import { type Kernels, type StoredMatrix, mostProductRows } from '../kernels/index.js';
import { type KernelOperand, clear, rowsOf } from './kernel-row.js';
import { type QuantizedFormat, type WeightLayout, rowSource, weightLayout } from './stored-weight.js';

export interface Product {
  readonly x: KernelOperand;
  readonly weight: readonly KernelOperand[];
  readonly format: QuantizedFormat | null;
  readonly y: KernelOperand;
}

export type ProductSpecs = Pick<Product, 'format'> & { readonly x: TensorSpec; readonly weight: readonly TensorSpec[] };

/** Up to so many rows of x, a weight that is not f32 costs less read once for every few of them than widened for all. */
export const mostPassedRows: number = 2 * mostProductRows;

/** The product in pieces of a few rows of x. */
export function inPasses({ x, weight, format, y }: Product): Product[] {
  const rows = rowsOf(x);
  const part = (operand: KernelOperand, from: number): KernelOperand => {
    const width = operand.shape.at(-1)!;
    const count = Math.min(mostProductRows, rows - from);
    return { ...operand, pointer: operand.pointer + 4 * from * width, shape: [count, width] };
  };
  return Array.from({ length: Math.ceil(rows / mostProductRows) }, (_, pass) => {
    const from = pass * mostProductRows;
    return { x: part(x, from), weight, format, y: part(y, from) };
  });
}

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
  const { x, weight, format, y } = product;
  const layout = layoutFor(product);
  const [m, n, k] = [rowsOf(x), layout.rows, layout.columns];
  const [{ pointer, dtype }] = weight as readonly [KernelOperand];
  if (!format && m <= (dtype === 'f32' ? mostProductRows : mostPassedRows)) {
    const storage = dtype as StoredMatrix;
    for (const pass of inPasses(product))
      kernels.rowProducts({ a: pass.x.pointer, b: pointer, c: pass.y.pointer, m: rowsOf(pass.x), n, k, storage });
    return;
  }
  forEachChunk(kernels, product, layout, working, (from, count, b, scratch) => {
    const part = { a: x.pointer, b, c: y.pointer + 4 * from, m, n: count, k, rowStrideC: n };
    if (m <= mostProductRows) kernels.rowProducts({ ...part, storage: 'f32' });
    else kernels.matmul({ ...part, transposeB: true, scratch });
  });
}

/** y = x·W: rows of the weight are added up, chunk by chunk. */
export function multiplyByWeight(kernels: Kernels, product: Product, working: number): void {
  const { x, y } = product;
  const layout = layoutFor(product);
  const [m, n, rowStrideA] = [rowsOf(x), layout.columns, layout.rows];
  if (layout.rows === 0) clear(kernels.memory, y);
  forEachChunk(kernels, product, layout, working, (from, k, b, scratch) => {
    kernels.matmul({ a: x.pointer + 4 * from, b, c: y.pointer, m, n, k, rowStrideA, accumulate: from > 0, scratch });
  });
}

/** Adds a bias to every row of y. */
export function addBias(kernels: Kernels, y: KernelOperand, bias: KernelOperand | undefined): void {
  if (bias) kernels.addRowVector(y.pointer, y.pointer, bias.pointer, rowsOf(y), sizeOf(bias.shape));
}
