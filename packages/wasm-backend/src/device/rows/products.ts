/**
 * Matrix products, and linear layers with dense weights.
 *
 * Few rows (a token that is decoded) go through products that read the weight once as it lies, more rows through the blocked
 * product.
 */
import { type MatmulAttributes, matmulSizes } from '@mindseye/tensor-core';
import { mostProductRows } from '../../kernels/index.js';
import { type KernelRow, type KernelRows, isF32 } from '../kernel-row.js';
import { addBias, multiplyByTranspose, multiplyByWeight, productScratch } from '../weight-products.js';

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

export const productRows: KernelRows = {
  matmul: matmul as KernelRow,
  linear,
  linearTransposed,
};
