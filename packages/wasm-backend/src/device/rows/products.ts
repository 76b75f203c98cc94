/**
 * Matrix products, and linear layers with dense weights.
 *
 * Few rows (a token that is decoded) go through products that read the weight once as it lies, more rows through the blocked
 * product, whose panels are kept from the second run on.
 */
import { type MatmulAttributes, matmulSizes } from '@mindseye/tensor-core';
import { mostFewRows, mostProductRows } from '../../kernels/index.js';
import { type KernelRow, type KernelRows, isF32 } from '../kernel-row.js';
import { panelsIn, panelsOf } from '../packed-weight.js';
import { bankedRunBytes } from '../banked-weight.js';
import {
  type Product,
  addBias,
  keptPanels,
  multiplyByTranspose,
  multiplyByWeight,
  multiplyFromBanks,
  productScratch,
} from '../weight-products.js';

const isFewRows = (m: number, { transposeA, transposeB }: MatmulAttributes): boolean =>
  m <= mostProductRows && transposeB === true && transposeA !== true;

const matmul: KernelRow<MatmulAttributes> = {
  takes: (inputs) => isF32(...inputs),
  scratchBytes({ kernels, inputs: [a, b], attributes }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    if (isFewRows(m, attributes)) return 0;
    return kernels.matmulScratchBytes(m, n, k, { batch, transposeA: attributes.transposeA });
  },
  keeps({ kernels, inputs: [a, b], attributes }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    const isFew = isFewRows(m, attributes) || m <= mostFewRows;
    const { transposeB } = attributes;
    return batch === 1 && !isFew ? panelsOf(kernels, 1, m, { n, k, transposeB }) : undefined;
  },
  run({ kernels, inputs: [a, b], outputs: [c], attributes, scratch, kept }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    const { transposeA, transposeB } = attributes;
    const right = { b: b!.pointer, n, k, transposeB };
    if (!isFewRows(m, attributes)) {
      const working = scratch(kernels.matmulScratchBytes(m, n, k, { batch, transposeA }));
      const operands = { ...right, a: a!.pointer, c: c!.pointer, m, transposeA, batch, scratch: working };
      kernels.matmul({ ...operands, packed: panelsIn(kernels, kept, right) });
      return;
    }
    for (let z = 0; z < batch; z++) {
      const [from, into] = [a!.pointer + 4 * z * m * k, c!.pointer + 4 * z * m * n];
      kernels.rowProducts({ a: from, b: b!.pointer + 4 * z * k * n, c: into, m, n, k, storage: 'f32' });
    }
  },
};

const linear: KernelRow = {
  scratchBytes: ({ kernels, inputs: [x, weight] }) =>
    bankedRunBytes([weight!]) + productScratch(kernels, { x: x!, weight: [weight!], format: null }),
  keeps: ({ kernels, inputs }) => keptPanels(kernels, inputs, false),
  readsBanks: () => [1],
  run({ kernels, inputs: [x, weight, bias], outputs: [y], scratch, kept, fetch }) {
    const product = { x: x!, weight: [weight!], format: null, y: y!, bias, kept };
    const run = scratch(bankedRunBytes([weight!]) + productScratch(kernels, product));
    const working = run + bankedRunBytes([weight!]);
    const multiply = (part: Product): void => multiplyByTranspose(kernels, part, working);
    if (multiplyFromBanks(product, fetch, run, multiply)) addBias(kernels, y!, bias);
    else multiply(product);
  },
};

const linearTransposed: KernelRow = {
  scratchBytes: ({ kernels, inputs: [x, weight] }) =>
    productScratch(kernels, { x: x!, weight: [weight!], format: null }),
  keeps: ({ kernels, inputs }) => keptPanels(kernels, inputs, true),
  run({ kernels, inputs: [x, weight], outputs: [y], scratch, kept }) {
    const product = { x: x!, weight: [weight!], format: null, y: y!, kept };
    multiplyByWeight(kernels, product, scratch(productScratch(kernels, product)));
  },
};

export const productRows: KernelRows = {
  matmul: matmul as KernelRow,
  linear,
  linearTransposed,
};
