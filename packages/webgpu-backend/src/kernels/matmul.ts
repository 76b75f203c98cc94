/** Products of matrices: `matmul` on f32, and linear layers whose weight [out, in] may be stored in f16 or bf16. */
import { type MatmulAttributes, type TensorSpec, matmulSizes, sizeOf } from '@mindseye/tensor-core';
import type { Dispatch } from '../wgsl/dispatch.js';
import { fewRowsDispatch, mostRows } from './few-rows.js';
import { type Kernel, allF32 } from './kernel.js';
import { type Product, isWeight, productDispatch } from './product.js';

/** The dispatch that suits the sizes. */
function multiply(product: Product): readonly Dispatch[] {
  const { batch, m, transposeA, transposeB } = product;
  const isFew = batch === 1 && m <= mostRows && m > 0 && transposeB && !transposeA;
  return [isFew ? fewRowsDispatch(product) : productDispatch(product)];
}

const matmul: Kernel<MatmulAttributes> = {
  accepts: ([a, b]) => a!.dtype === 'f32' && b!.dtype === 'f32',
  lower({ inputs: [a, b], attributes }) {
    const { transposeA, transposeB } = attributes;
    const sizes = matmulSizes(a!, b!, attributes);
    return multiply({ name: 'matmul', ...sizes, transposeA, transposeB, weight: 'f32', hasBias: false });
  },
};

const rowsOf = ({ shape }: TensorSpec): number => sizeOf(shape.slice(0, -1));

const acceptsWeight = ([x, weight, bias]: readonly TensorSpec[]): boolean =>
  isWeight(weight!.dtype) && allF32(bias ? [x!, bias] : [x!]);

/** y = x·Wᵀ + b. */
const linear: Kernel = {
  accepts: acceptsWeight,
  lower({ inputs: [x, weight, bias] }) {
    const [n, k] = weight!.shape as readonly [number, number];
    const sizes = { batch: 1, m: rowsOf(x!), n, k };
    const form = { transposeA: false, transposeB: true, weight: weight!.dtype, hasBias: bias !== undefined };
    return multiply({ name: 'linear', ...sizes, ...form });
  },
};

/** y = x·W, the gradient of a linear layer to its input. */
const linearTransposed: Kernel = {
  accepts: acceptsWeight,
  lower({ inputs: [x, weight] }) {
    const [k, n] = weight!.shape as readonly [number, number];
    const sizes = { batch: 1, m: rowsOf(x!), n, k };
    const form = { transposeA: false, transposeB: false, weight: weight!.dtype, hasBias: false };
    return multiply({ name: 'linearTransposed', ...sizes, ...form });
  },
};

export const matmulKernels: Readonly<Record<string, Kernel>> = {
  matmul: matmul as Kernel,
  linear,
  linearTransposed,
};
