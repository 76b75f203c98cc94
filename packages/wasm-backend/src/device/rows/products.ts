/**
 * Matrix products, and linear layers with weights in any storage.
 *
 * Few rows (a token that is decoded) go through products that read the weight once as it lies, more rows through the blocked
 * product. What is not f32 is widened chunk by chunk; where a product can read bf16 and f16 itself, it does.
 */
import { type MatmulAttributes, type TensorSpec, matmulSizes, sizeOf } from '@mindseye/tensor-core';
import { type Kernels, type StoredMatrix, mostProductRows } from '../../kernels/index.js';
import { type KernelOperand, type KernelRow, type KernelRows, clear, isF32, rowsOf } from '../kernel-row.js';
import { type QuantizedFormat, type WeightLayout, rowSource, weightLayout } from '../stored-weight.js';

const isFewRows = (m: number, { transposeA, transposeB }: MatmulAttributes): boolean =>
  m <= mostProductRows && transposeB === true && transposeA !== true;

const matmul: KernelRow<MatmulAttributes> = {
  takes: (inputs) => isF32(...inputs),
  scratchBytes({ kernels, inputs: [a, b], attributes }) {
    const { m, n, k } = matmulSizes(a!, b!, attributes);
    return isFewRows(m, attributes) ? 0 : kernels.matmulScratchBytes(m, n, k);
  },
  run({ kernels, inputs: [a, b], outputs: [c], attributes, scratch }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    const isFew = isFewRows(m, attributes);
    const working = isFew ? 0 : scratch(kernels.matmulScratchBytes(m, n, k));
    for (let z = 0; z < batch; z++) {
      const entry = {
        a: a!.pointer + 4 * z * m * k,
        b: b!.pointer + 4 * z * k * n,
        c: c!.pointer + 4 * z * m * n,
        m,
        n,
        k,
      };
      if (isFew) kernels.rowProducts({ ...entry, storage: 'f32' });
      else kernels.matmul({ ...entry, ...attributes, scratch: working });
    }
  },
};

interface Product {
  readonly x: KernelOperand;
  readonly weight: readonly KernelOperand[];
  readonly format: QuantizedFormat | null;
  readonly y: KernelOperand;
}

type ProductSpecs = Pick<Product, 'format'> & { readonly x: TensorSpec; readonly weight: readonly TensorSpec[] };

const layoutFor = ({ x, weight, format }: ProductSpecs): WeightLayout =>
  weightLayout(weight, format, rowsOf(x) <= mostProductRows ? 'few' : 'many');

/** Scratch of both products: a chunk of the weight, its scales, then what the blocked product needs. */
function productScratch(kernels: Kernels, specs: ProductSpecs): number {
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
function multiplyByTranspose(kernels: Kernels, product: Product, working: number): void {
  const { x, weight, format, y } = product;
  const layout = layoutFor(product);
  const [m, n, k] = [rowsOf(x), layout.rows, layout.columns];
  const [{ pointer, dtype }] = weight as readonly [KernelOperand];
  if (m <= mostProductRows && !format) {
    const storage = dtype as StoredMatrix;
    return kernels.rowProducts({ a: x.pointer, b: pointer, c: y.pointer, m, n, k, storage });
  }
  forEachChunk(kernels, product, layout, working, (from, count, b, scratch) => {
    const part = { a: x.pointer, b, c: y.pointer + 4 * from, m, n: count, k, rowStrideC: n };
    if (m <= mostProductRows) kernels.rowProducts({ ...part, storage: 'f32' });
    else kernels.matmul({ ...part, transposeB: true, scratch });
  });
}

/** y = x·W: rows of the weight are added up, chunk by chunk. */
function multiplyByWeight(kernels: Kernels, product: Product, working: number): void {
  const { x, y } = product;
  const layout = layoutFor(product);
  const [m, n, rowStrideA] = [rowsOf(x), layout.columns, layout.rows];
  if (layout.rows === 0) clear(kernels.memory, y);
  forEachChunk(kernels, product, layout, working, (from, k, b, scratch) => {
    kernels.matmul({ a: x.pointer + 4 * from, b, c: y.pointer, m, n, k, rowStrideA, accumulate: from > 0, scratch });
  });
}

function addBias(kernels: Kernels, y: KernelOperand, bias: KernelOperand | undefined): void {
  if (bias) kernels.addRowVector(y.pointer, y.pointer, bias.pointer, rowsOf(y), sizeOf(bias.shape));
}

const linear: KernelRow = {
  scratchBytes: ({ kernels, inputs: [x, weight] }) =>
    productScratch(kernels, { x: x!, weight: [weight!], format: null }),
  run({ kernels, inputs: [x, weight, bias], outputs: [y], scratch }) {
    const product = { x: x!, weight: [weight!], format: null, y: y! };
    multiplyByTranspose(kernels, product, scratch(productScratch(kernels, product)));
    addBias(kernels, y!, bias);
  },
};

const linearTransposed: KernelRow = {
  scratchBytes: ({ kernels, inputs: [x, weight] }) =>
    productScratch(kernels, { x: x!, weight: [weight!], format: null }),
  run({ kernels, inputs: [x, weight], outputs: [y], scratch }) {
    const product = { x: x!, weight: [weight!], format: null, y: y! };
    multiplyByWeight(kernels, product, scratch(productScratch(kernels, product)));
  },
};

interface QuantizedLinearAttributes {
  readonly format: QuantizedFormat;
  readonly transposed: boolean;
}

/** Operands after x: codes, scales, offsets where there are zero points, then the bias. */
const weightCount = ({ symmetric }: QuantizedFormat): number => (symmetric ? 2 : 3);

const quantizedLinear: KernelRow<QuantizedLinearAttributes> = {
  scratchBytes: ({ kernels, inputs: [x, ...rest], attributes: { format } }) =>
    productScratch(kernels, { x: x!, weight: rest.slice(0, weightCount(format)), format }),
  run({ kernels, inputs: [x, ...rest], outputs: [y], attributes: { format, transposed }, scratch }) {
    const product = { x: x!, weight: rest.slice(0, weightCount(format)), format, y: y! };
    const working = scratch(productScratch(kernels, product));
    (transposed ? multiplyByWeight : multiplyByTranspose)(kernels, product, working);
    addBias(kernels, y!, rest[weightCount(format)]);
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

export const productRows: KernelRows = {
  matmul: matmul as KernelRow,
  linear,
  linearTransposed,
  quantizedLinear: quantizedLinear as KernelRow,
  dequantize: dequantize as KernelRow,
};
