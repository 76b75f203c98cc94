/** Ops that pick or change rows by numbers known only at run time, and sources of constants. */
import { type DType, byteLengthOf, byteSizeOf, encoderOf, hostView, sizeOf } from '@mindseye/tensor-core';
import { type KernelOperand, type KernelRow, type KernelRows, clear, isF32 } from '../kernel-row.js';

const integersAt = ({ buffer }: WebAssembly.Memory, { pointer, shape }: KernelOperand): Int32Array =>
  new Int32Array(buffer, pointer, sizeOf(shape));

/** Bytes of one row of a table. */
const rowBytes = ({ shape, dtype }: KernelOperand): number => sizeOf(shape.slice(1)) * byteSizeOf(dtype);

/** Indices are in the table: the op's guard has looked at them. */
const gather: KernelRow = {
  run({ kernels, inputs: [table, indices], outputs: [y] }) {
    const width = rowBytes(table!);
    const bytes = new Uint8Array(kernels.memory.buffer);
    let to = y!.pointer;
    for (const row of integersAt(kernels.memory, indices!)) {
      const from = table!.pointer + row * width;
      bytes.copyWithin(to, from, from + width);
      to += width;
    }
  },
};

const scatterAdd: KernelRow = {
  takes: ([updates]) => isF32(updates),
  run({ kernels, inputs: [updates, indices], outputs: [y] }) {
    clear(kernels.memory, y!);
    const width = rowBytes(y!);
    let from = updates!.pointer;
    for (const row of integersAt(kernels.memory, indices!)) {
      const to = y!.pointer + row * width;
      kernels.add(to, to, from, width / 4);
      from += width;
    }
  },
};

/** Only the rows of the update are written where the output lies on the target. */
const updateSlice: KernelRow<{ readonly axis: number }> = {
  run({ kernels, inputs: [target, update, start], outputs: [y], attributes: { axis } }) {
    const bytes = new Uint8Array(kernels.memory.buffer);
    if (y!.pointer !== target!.pointer)
      bytes.copyWithin(y!.pointer, target!.pointer, target!.pointer + byteLengthOf(target!));
    const inner = byteSizeOf(y!.dtype) * sizeOf(y!.shape.slice(axis + 1));
    const width = update!.shape[axis]! * inner;
    const first = y!.pointer + integersAt(kernels.memory, start!)[0]! * inner;
    const outer = sizeOf(y!.shape.slice(0, axis));
    for (let i = 0; i < outer; i++) {
      const from = update!.pointer + i * width;
      bytes.copyWithin(first + i * y!.shape[axis]! * inner, from, from + width);
    }
  },
};

const full: KernelRow<{ readonly dtype: DType; readonly value: number }> = {
  run({ kernels, outputs: [y], attributes: { dtype, value } }) {
    hostView(kernels.memory.buffer, y!.pointer, y!).fill(encoderOf(dtype)(value));
  },
};

const iota: KernelRow = {
  run({ kernels, outputs: [y] }) {
    const numbers = hostView(kernels.memory.buffer, y!.pointer, y!);
    for (let i = 0; i < numbers.length; i++) numbers[i] = i;
  },
};

export const indexedRows: KernelRows = {
  gather,
  scatterAdd,
  updateSlice: updateSlice as KernelRow,
  full: full as KernelRow,
  iota,
};
