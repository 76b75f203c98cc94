/** Matrix products. */
import { type MatmulAttributes, matmulSizes, sizeOf } from '@mindseye/tensor-core';
import { type KernelRow, type KernelRows, isF32, rowsOf } from '../kernel-row.js';

const matmul: KernelRow<MatmulAttributes> = {
  scratchBytes({ kernels, inputs: [a, b], attributes }) {
    const { m, n, k } = matmulSizes(a!, b!, attributes);
    return kernels.matmulScratchBytes(m, n, k);
  },
  run({ kernels, inputs: [a, b], outputs: [c], attributes, scratch }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    const working = scratch(kernels.matmulScratchBytes(m, n, k));
    for (let z = 0; z < batch; z++) {
      kernels.matmul({
        a: a!.pointer + 4 * z * m * k,
        b: b!.pointer + 4 * z * k * n,
        c: c!.pointer + 4 * z * m * n,
        m,
        n,
        k,
        ...attributes,
        scratch: working,
      });
    }
  },
};

/** y = x·Wᵀ, then the bias is added to every row. */
const linear: KernelRow = {
  takes: (inputs) => isF32(...inputs),
  scratchBytes({ kernels, inputs: [x, weight] }) {
    const [n, k] = weight!.shape as [number, number];
    return kernels.matmulScratchBytes(rowsOf(x!), n, k);
  },
  run({ kernels, inputs: [x, weight, bias], outputs: [y], scratch }) {
    const [n, k] = weight!.shape as [number, number];
    const m = sizeOf(x!.shape.slice(0, -1));
    const working = scratch(kernels.matmulScratchBytes(m, n, k));
    kernels.matmul({ a: x!.pointer, b: weight!.pointer, c: y!.pointer, m, n, k, transposeB: true, scratch: working });
    if (bias) kernels.addRowVector(y!.pointer, y!.pointer, bias.pointer, m, n);
  },
};

export const productRows: KernelRows = { matmul: matmul as KernelRow, linear };
