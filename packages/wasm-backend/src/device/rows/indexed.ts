/** Ops that pick or change rows by numbers known only at run time, and sources of constants. */
import { type DType, byteLengthOf, byteSizeOf, encoderOf, hostView, sizeOf } from '@mindseye/tensor-core';
import type { CountedType, OrderedType } from '../../kernels/index.js';
import { type KernelOperand, type KernelRow, type KernelRows, columnsOf, isF32, rowsOf } from '../kernel-row.js';

const isOrdered = (dtype: DType): boolean => dtype === 'f32' || dtype === 'i32' || dtype === 'u32';

/** Bytes of one row of a table. */
const rowBytes = ({ shape, dtype }: KernelOperand): number => sizeOf(shape.slice(1)) * byteSizeOf(dtype);

/** Indices are in the table: the op's guard has looked at them. */
const gather: KernelRow = {
  run({ kernels, inputs: [table, indices], outputs: [y] }) {
    kernels.gather({
      to: y!.pointer,
      table: table!.pointer,
      indices: indices!.pointer,
      count: sizeOf(indices!.shape),
      rows: table!.shape[0]!,
      rowBytes: rowBytes(table!),
    });
  },
};

const scatterAdd: KernelRow = {
  run({ kernels, inputs: [updates, indices], outputs: [y] }) {
    kernels.fill(y!.pointer, 0, byteLengthOf(y!));
    kernels.scatterAdd(isF32(y!) ? 'f32' : 'i32', {
      y: y!.pointer,
      updates: updates!.pointer,
      indices: indices!.pointer,
      rows: y!.shape[0]!,
      count: sizeOf(indices!.shape),
      columns: sizeOf(y!.shape.slice(1)),
    });
  },
};

const argmax: KernelRow = {
  takes: ([x]) => isOrdered(x!.dtype),
  run({ kernels, inputs: [x], outputs: [y] }) {
    kernels.argmax(x!.dtype as OrderedType, y!.pointer, x!.pointer, rowsOf(x!), columnsOf(x!));
  },
};

/** Only the rows of the update are written where the output lies on the target. */
const updateSlice: KernelRow<{ readonly axis: number }> = {
  run({ kernels, inputs: [target, update, start], outputs: [y], attributes: { axis } }) {
    const once = { count: 1, to: 0, from: 0 };
    if (y!.pointer !== target!.pointer) {
      const runBytes = byteLengthOf(target!);
      kernels.copyRuns({ to: y!.pointer, from: target!.pointer, runBytes, inner: once, outer: once });
    }
    const row = byteSizeOf(y!.dtype) * sizeOf(y!.shape.slice(axis + 1));
    const first = new DataView(kernels.memory.buffer).getInt32(start!.pointer, true);
    const runBytes = update!.shape[axis]! * row;
    kernels.copyRuns({
      to: y!.pointer + first * row,
      from: update!.pointer,
      runBytes,
      inner: { count: sizeOf(y!.shape.slice(0, axis)), to: y!.shape[axis]! * row, from: runBytes },
      outer: once,
    });
  },
};

/** The bytes of an element, repeated to a word. */
function repeatedWord(dtype: DType, value: number): number {
  const word = new ArrayBuffer(4);
  hostView(word, 0, { dtype, shape: [4 / byteSizeOf(dtype)] }).fill(encoderOf(dtype)(value));
  return new Int32Array(word)[0]!;
}

const full: KernelRow<{ readonly dtype: DType; readonly value: number }> = {
  run({ kernels, outputs: [y], attributes: { dtype, value } }) {
    kernels.fill(y!.pointer, repeatedWord(dtype, value), byteLengthOf(y!));
  },
};

/** Whole numbers up to 2^31 have the same bytes as i32 and as u32. */
const countedTypes: Partial<Record<DType, CountedType>> = { f32: 'f32', i32: 'i32', u32: 'i32' };

const iota: KernelRow = {
  takes: (_inputs, [y]) => countedTypes[y!.dtype] !== undefined,
  run({ kernels, outputs: [y] }) {
    kernels.iota(countedTypes[y!.dtype]!, y!.pointer, sizeOf(y!.shape));
  },
};

export const indexedRows: KernelRows = {
  gather,
  scatterAdd,
  argmax,
  updateSlice: updateSlice as KernelRow,
  full: full as KernelRow,
  iota,
};
