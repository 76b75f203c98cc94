/** Linear layers with group-quantised weights, and the dense matrices that such weights stand for. */
import type { TensorSpec } from '@mindseye/tensor-core';
import { type Kernels, QUANTIZED_RUN, type StoredMatrix, fixedBytes, mostProductRows } from '../../kernels/index.js';
import { bankedRunBytes } from '../banked-weight.js';
import { type KernelOperand, type KernelRow, type KernelRows, rowsOf } from '../kernel-row.js';
import { type QuantizedFormat, rowSource, weightLayout, zeroOf } from '../stored-weight.js';
import {
  type Product,
  type ProductSpecs,
  addBias,
  multiplyByTranspose,
  multiplyByWeight,
  multiplyFromBanks,
  productScratch,
} from '../weight-products.js';

interface QuantizedLinearAttributes {
  readonly format: QuantizedFormat;
  /** y = x·W instead of x·Wᵀ. */
  readonly transposed: boolean;
}

/** Operands after x: codes, scales, offsets where there are zero points, then the bias. */
const weightCount = ({ symmetric }: QuantizedFormat): number => (symmetric ? 2 : 3);

const productOf = <Spec extends TensorSpec>(
  [x, ...rest]: readonly Spec[],
  { format }: QuantizedLinearAttributes,
): { readonly x: Spec; readonly weight: readonly Spec[]; readonly format: QuantizedFormat } => ({
  x: x!,
  weight: rest.slice(0, weightCount(format)),
  format,
});

/** Whether codes are decoded while they meet x, instead of before. */
const meetsCodes = ({ x }: Pick<ProductSpecs, 'x'>, { format, transposed }: QuantizedLinearAttributes): boolean =>
  !transposed && rowsOf(x) > 0 && rowsOf(x) <= mostProductRows && format.columns % QUANTIZED_RUN === 0;

/** One row of a product. */
const rowOf = (product: Product, row: number): Product => {
  const { x, weight, format, y } = product;
  const part = (operand: KernelOperand): KernelOperand => {
    const width = operand.shape.at(-1)!;
    return { ...operand, pointer: operand.pointer + 4 * row * width, shape: [1, width] };
  };
  const into = product.rowStrideY === undefined ? part(y) : { ...y, pointer: y.pointer + 4 * row * product.rowStrideY };
  return { x: part(x), weight, format, y: into };
};

/** Scratch of a product that meets codes: rows of x in whole numbers, and what the product needs, or that of a row in f32. */
function meetingScratch(kernels: Kernels, { x, weight }: ProductSpecs, format: QuantizedFormat): number {
  const row = { x: { ...x, shape: [1, format.columns] }, weight, format };
  const whole = fixedBytes(rowsOf(x), format) + kernels.quantizedRowScratchBytes(format);
  return Math.max(whole, productScratch(kernels, row));
}

/** y = x·Wᵀ with codes decoded on the way. Rows of x with an infinity or NaN go to the matrix in f32, where those belong. */
function multiplyByCodes(kernels: Kernels, product: Product, format: QuantizedFormat, working: number): void {
  const { x, weight, y } = product;
  const [codes, scales, offsets] = weight as readonly [KernelOperand, KernelOperand, KernelOperand?];
  const n = codes.shape[0]!;
  const sizes = { m: rowsOf(x), ...format, zero: zeroOf(format) };
  const failed = kernels.fixRows({ ...sizes, into: working, a: x.pointer });
  kernels.quantizedRowProducts({
    ...sizes,
    fixed: working,
    codes: codes.pointer,
    scales: scales.pointer,
    ...(offsets && { offsets: offsets.pointer }),
    factorStorage: scales.dtype as StoredMatrix,
    c: y.pointer,
    n,
    rowStrideC: product.rowStrideY ?? n,
    scratch: working + fixedBytes(sizes.m, format),
  });
  for (const row of failed) multiplyByTranspose(kernels, rowOf(product, row), working);
}

/** Scratch of a product in whichever way it is done. */
const scratchOf = (kernels: Kernels, specs: ProductSpecs, attributes: QuantizedLinearAttributes): number =>
  meetsCodes(specs, attributes) ? meetingScratch(kernels, specs, attributes.format) : productScratch(kernels, specs);

const quantizedLinear: KernelRow<QuantizedLinearAttributes> = {
  scratchBytes({ kernels, inputs, attributes }) {
    const product = productOf(inputs, attributes);
    return bankedRunBytes(product.weight) + scratchOf(kernels, product, attributes);
  },
  readsBanks: ({ format, transposed }) =>
    transposed ? [] : Array.from({ length: weightCount(format) }, (_, i) => 1 + i),
  run({ kernels, inputs, outputs: [y], attributes, scratch, fetch }) {
    const product = { ...productOf(inputs, attributes), y: y! };
    const { format, transposed } = attributes;
    const run = scratch(bankedRunBytes(product.weight) + scratchOf(kernels, product, attributes));
    const working = run + bankedRunBytes(product.weight);
    const multiply = (part: Product): void => {
      if (meetsCodes(part, attributes)) multiplyByCodes(kernels, part, format, working);
      else (transposed ? multiplyByWeight : multiplyByTranspose)(kernels, part, working);
    };
    if (transposed || !multiplyFromBanks(product, fetch, run, multiply)) multiply(product);
    addBias(kernels, y!, inputs[1 + weightCount(format)]);
  },
};

const dequantize: KernelRow<QuantizedFormat> = {
  scratchBytes: ({ inputs, attributes }) => weightLayout(inputs, attributes, 'few').scaleBytes,
  run({ kernels, inputs, outputs: [w], attributes, scratch }) {
    const { rows, columns, chunkRows, scaleBytes } = weightLayout(inputs, attributes, 'few');
    const read = rowSource(kernels, inputs, attributes);
    const scales = scratch(scaleBytes);
    for (let from = 0; from < rows; from += chunkRows)
      read(from, Math.min(chunkRows, rows - from), w!.pointer + 4 * from * columns, scales);
  },
};

export const quantizedRows: KernelRows = {
  quantizedLinear: quantizedLinear as KernelRow,
  dequantize: dequantize as KernelRow,
};
