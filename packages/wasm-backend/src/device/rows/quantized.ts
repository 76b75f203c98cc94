/** Linear layers with group-quantised weights, and the dense matrices that such weights stand for. */
import type { TensorSpec } from '@mindseye/tensor-core';
import { type Kernels, QUANTIZED_RUN, arrangedBytes, mostProductRows } from '../../kernels/index.js';
import { type KernelOperand, type KernelRow, type KernelRows, rowsOf } from '../kernel-row.js';
import { type QuantizedFormat, rowSource, scaleSource, weightLayout, zeroOf } from '../stored-weight.js';
import {
  type Product,
  type ProductSpecs,
  addBias,
  inPasses,
  mostPassedRows,
  multiplyByTranspose,
  multiplyByWeight,
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
  !transposed && rowsOf(x) > 0 && rowsOf(x) <= mostPassedRows && format.columns % QUANTIZED_RUN === 0;

/** Scratch of a product that meets codes: x as the codes meet it, then the scales of a chunk of rows as f32. */
function meetingScratch({ x, weight }: ProductSpecs, format: QuantizedFormat): number {
  const rows = Math.min(rowsOf(x), mostProductRows);
  return arrangedBytes(rows, format.columns, format.groupSize) + weightLayout(weight, format, 'many').scaleBytes;
}

/** y = x·Wᵀ with codes decoded on the way. */
function multiplyByCodes(kernels: Kernels, product: Product, format: QuantizedFormat, arranged: number): void {
  const { x, weight, y } = product;
  const { bits, groupSize, columns } = format;
  const { rows, chunkRows } = weightLayout(weight, format, 'many');
  const [codes, ...factors] = weight as readonly [KernelOperand, ...KernelOperand[]];
  const m = rowsOf(x);
  kernels.arrangeRows({ into: arranged, a: x.pointer, m, columns, bits, groupSize });
  const scalesOf = scaleSource(kernels, factors);
  const scalesInto = arranged + arrangedBytes(m, columns, groupSize);
  for (let from = 0; from < rows; from += chunkRows) {
    const n = Math.min(chunkRows, rows - from);
    kernels.quantizedRowProducts({
      arranged,
      codes: codes.pointer + 4 * from * codes.shape[1]!,
      ...scalesOf(from, n, scalesInto),
      c: y.pointer + 4 * from,
      m,
      n,
      columns,
      bits,
      groupSize,
      zero: zeroOf(format),
      rowStrideC: rows,
    });
  }
}

const quantizedLinear: KernelRow<QuantizedLinearAttributes> = {
  scratchBytes({ kernels, inputs, attributes }) {
    const product = productOf(inputs, attributes);
    return meetsCodes(product, attributes)
      ? meetingScratch(product, attributes.format)
      : productScratch(kernels, product);
  },
  run({ kernels, inputs, outputs: [y], attributes, scratch }) {
    const product = { ...productOf(inputs, attributes), y: y! };
    const { format, transposed } = attributes;
    if (meetsCodes(product, attributes)) {
      const arranged = scratch(meetingScratch(product, format));
      for (const pass of inPasses(product)) multiplyByCodes(kernels, pass, format, arranged);
    } else
      (transposed ? multiplyByWeight : multiplyByTranspose)(
        kernels,
        product,
        scratch(productScratch(kernels, product)),
      );
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
