/** Which ops have a WebAssembly kernel, and how each reads its operands: one row per op. */
import { type MatmulAttributes, type Op, type TensorSpec, matmulSizes, sizeOf } from '@mindseye/tensor-core';
import type { Kernels } from '../kernels/index.js';

export interface KernelOperand extends TensorSpec {
  /** Byte offset of the first element. */
  readonly pointer: number;
}

export interface KernelCall<Attributes> {
  readonly kernels: Kernels;
  readonly inputs: readonly KernelOperand[];
  readonly outputs: readonly KernelOperand[];
  readonly attributes: Attributes;
  /** Working memory until the next call. */
  readonly scratch: (byteLength: number) => number;
}

export interface KernelRow<Attributes extends object = object> {
  /** False for operands that the reference loops should take; the row takes everything when left out. */
  takes?(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[], attributes: Attributes): boolean;
  run(call: KernelCall<Attributes>): void;
}

const matmul: KernelRow<MatmulAttributes> = {
  run({ kernels, inputs: [a, b], outputs: [c], attributes, scratch }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    const working = scratch(kernels.matmulScratchBytes(m, n, k));
    for (let z = 0; z < batch; z++) {
      kernels.matmul({ a: a!.pointer + 4 * z * m * k, b: b!.pointer + 4 * z * k * n, c: c!.pointer + 4 * z * m * n, m, n, k, ...attributes, scratch: working });
    }
  },
};

/** y = x·Wᵀ + b: the bias is laid into y first, and the product added onto it. */
const linear: KernelRow = {
  run({ kernels, inputs: [x, weight, bias], outputs: [y], scratch }) {
    const [n, k] = weight!.shape as [number, number];
    const m = sizeOf(x!.shape.slice(0, -1));
    if (bias) repeatRow(kernels.memory, bias.pointer, y!.pointer, 4 * n, m);
    const working = scratch(kernels.matmulScratchBytes(m, n, k));
    kernels.matmul({ a: x!.pointer, b: weight!.pointer, c: y!.pointer, m, n, k, transposeB: true, accumulate: bias !== undefined, scratch: working });
  },
};

/** Writes `count` copies of a row one after another, doubling what is there. */
function repeatRow(memory: WebAssembly.Memory, row: number, to: number, rowBytes: number, count: number): void {
  const bytes = new Uint8Array(memory.buffer);
  const total = rowBytes * count;
  if (total === 0) return;
  bytes.copyWithin(to, row, row + rowBytes);
  for (let done = rowBytes; done < total; done *= 2) bytes.copyWithin(to + done, to, to + Math.min(done, total - done));
}

/** A copy of the bytes: ops that keep the order of elements. */
const copy: KernelRow = {
  run({ kernels, inputs: [x], outputs: [y] }) {
    new Uint8Array(kernels.memory.buffer).copyWithin(y!.pointer, x!.pointer, x!.pointer + 4 * sizeOf(x!.shape));
  },
  takes: ([x]) => x!.dtype === 'f32',
};

const kernelTable: Readonly<Record<string, KernelRow>> = {
  matmul: matmul as KernelRow,
  linear,
  reshape: copy,
  barrier: copy,
  stopGradient: copy,
};

/** Names of the ops with a kernel, for the supported-op table. */
export const kernelNames: readonly string[] = Object.keys(kernelTable);

/** The kernel for one application of `op`, or undefined when its reference loops run. */
export function kernelFor(op: Op, inputs: readonly TensorSpec[], outputs: readonly TensorSpec[], attributes: object): KernelRow['run'] | undefined {
  const row = kernelTable[op.name];
  return row && (row.takes?.(inputs, outputs, attributes) ?? true) ? (call) => row.run(call) : undefined;
}
