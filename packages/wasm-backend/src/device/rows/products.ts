/**
 * Matrix products, and linear layers with weights in any storage.
 *
 * Few rows (a token that is decoded) go through products that read the weight once as it lies, more rows through the blocked
 * product. What is not f32 is widened chunk by chunk; where a product can read bf16 and f16 itself, it does.
 */
import { type MatmulAttributes, type TensorSpec, matmulSizes, sizeOf } from '@mindseye/tensor-core';
import { type Kernels, type StoredMatrix, mostProductRows } from '../../kernels/index.js';
import { type KernelOperand, type KernelRow, type KernelRows, clear, isF32, rowsOf } from '../kernel-row.js';
import { type QuantizedFormat, rowSource, weightLayout } from '../stored-weight.js';

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

type WeightSpecs = Pick<Product, 'format'> & { readonly x: TensorSpec; readonly weight: readonly TensorSpec[] };

/** Scratch of both products: a chunk of the weight, then what the blocked product needs. */
function productScratch(kernels: Kernels, { x, weight, format }: WeightSpecs): number {
  const { columns, chunkRows, scratchBytes } = weightLayout(weight, format);
  const m = rowsOf(x);
  // An f32 weight is one chunk; its rows are the n of y = x·Wᵀ and the k of y = x·W.
  const rows = scratchBytes === 0 ? weight[0]!.shape[0]! : chunkRows;
  return (
    scratchBytes + Math.max(kernels.matmulScratchBytes(m, rows, columns), kernels.matmulScratchBytes(m, columns, rows))
  );
}

/** y = x·Wᵀ. */
function multiplyByTranspose(kernels: Kernels, { x, weight, format, y }: Product, working: number): void {
  const { rows, columns, chunkRows, scratchBytes } = weightLayout(weight, format);
  const m = rowsOf(x);
  const few = { a: x.pointer, m, k: columns, rowStrideC: rows };
  const [{ pointer, dtype }] = weight as readonly [KernelOperand];
  if (m <= mostProductRows && !format)
    return kernels.rowProducts({ ...few, b: pointer, c: y.pointer, n: rows, storage: dtype as StoredMatrix });
  const read = rowSource(kernels, weight, format);
  const step = scratchBytes === 0 ? rows : chunkRows;
  for (let from = 0; from < rows; from += step) {
    const n = Math.min(step, rows - from);
    const b = read(from, n, working);
    const c = y.pointer + 4 * from;
    if (m <= mostProductRows) kernels.rowProducts({ ...few, b, c, n, storage: 'f32' });
    else kernels.matmul({ ...few, b, c, n, transposeB: true, scratch: working + scratchBytes });
  }
}

/** y = x·W: rows of the weight are added up in chunks. */
function multiplyByWeight(kernels: Kernels, { x, weight, format, y }: Product, working: number): void {
  const { rows, columns, chunkRows, scratchBytes } = weightLayout(weight, format);
  const read = rowSource(kernels, weight, format);
  const step = scratchBytes === 0 ? rows : chunkRows;
  if (rows === 0) clear(kernels.memory, y);
  for (let from = 0; from < rows; from += step) {
    const k = Math.min(step, rows - from);
    kernels.matmul({
      a: x.pointer + 4 * from,
      b: read(from, k, working),
      c: y.pointer,
      m: rowsOf(x),
      n: columns,
      k,
      rowStrideA: rows,
      accumulate: from > 0,
      scratch: working + scratchBytes,
    });
  }
}

function addBias(kernels: Kernels, y: KernelOperand, bias: KernelOperand | undefined): void {
  if (bias) kernels.addRowVector(y.pointer, y.pointer, bias.pointer, rowsOf(y), sizeOf(bias.shape));
}

const linear: KernelRow = {
  scratchBytes: ({ kernels, inputs: [x, weight] }) => productScratch(kernels, { x: x!, weight: [weight!], format: null }),
  run({ kernels, inputs: [x, weight, bias], outputs: [y], scratch }) {
    const product = { x: x!, weight: [weight!], format: null, y: y! };
    multiplyByTranspose(kernels, product, scratch(productScratch(kernels, product)));
    addBias(kernels, y!, bias);
  },
};

const linearTransposed: KernelRow = {
  scratchBytes: ({ kernels, inputs: [x, weight] }) => productScratch(kernels, { x: x!, weight: [weight!], format: null }),
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
  scratchBytes: ({ inputs, attributes }) => weightLayout(inputs, attributes).scratchBytes,
  run({ kernels, inputs, outputs: [w], attributes, scratch }) {
    const { rows, columns, chunkRows, scratchBytes } = weightLayout(inputs, attributes);
    const read = rowSource(kernels, inputs, attributes);
    const working = scratch(scratchBytes);
    const bytes = new Uint8Array(kernels.memory.buffer);
    for (let from = 0; from < rows; from += chunkRows) {
      const count = Math.min(chunkRows, rows - from);
      const at = read(from, count, working);
      bytes.copyWithin(w!.pointer + 4 * from * columns, at, at + 4 * count * columns);
    }
  },
};

export const productRows: KernelRows = {
  matmul: matmul as KernelRow,
  linear,
  linearTransposed,
  quantizedLinear: quantizedLinear as KernelRow,
  dequantize: dequantize as KernelRow,
};
