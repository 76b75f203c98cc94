/**
 * Ops that move elements without changing them: copies, permutations, slices, pads.
 *
 * A moved value is walked in rows: the trailing axes that stay contiguous on both sides are one run, copied at once when
 * it is long, and the axes before it are plain nested counters. Elements are 1, 2 or 4 bytes; what they mean is no matter.
 */
import { byteSizeOf, sizeOf, stridesOf } from '@mindseye/tensor-core';
import { type KernelCall, type KernelRow, type KernelRows, clear } from '../kernel-row.js';

/** Runs shorter than this are copied element by element: a call costs more. */
const longRun = 32;

type Elements = Uint8Array | Uint16Array | Uint32Array;

const arrays: Readonly<Record<number, new (buffer: ArrayBufferLike) => Elements>> = {
  1: Uint8Array,
  2: Uint16Array,
  4: Uint32Array,
};

/** A copy of the bytes: ops that keep the order of elements. */
const copy: KernelRow = {
  run({ kernels, inputs: [x], outputs: [y] }) {
    new Uint8Array(kernels.memory.buffer).copyWithin(
      y!.pointer,
      x!.pointer,
      x!.pointer + byteSizeOf(x!.dtype) * sizeOf(x!.shape),
    );
  },
};

/** Copies `run` elements from index `source` to index `target`. */
function copyRun(elements: Elements, source: number, target: number, run: number): void {
  if (run >= longRun) elements.copyWithin(target, source, source + run);
  else for (let i = 0; i < run; i++) elements[target + i] = elements[source + i]!;
}

interface Walk {
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis, on the reading and the writing side. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly fromStart: number;
  readonly toStart: number;
}

/** Moves the elements of a walk. @param read, write byte offsets of the two values. */
function move(
  memory: WebAssembly.Memory,
  elementBytes: number,
  read: number,
  write: number,
  { shape, from, to, fromStart, toStart }: Walk,
): void {
  if (sizeOf(shape) === 0) return;
  const elements = new arrays[elementBytes]!(memory.buffer);
  let rank = shape.length;
  let run = 1;
  while (rank > 0 && (shape[rank - 1] === 1 || (from[rank - 1] === run && to[rank - 1] === run))) run *= shape[--rank]!;
  const index = shape.slice(0, rank).map(() => 0);
  let source = read / elementBytes + fromStart;
  let target = write / elementBytes + toStart;
  for (;;) {
    copyRun(elements, source, target, run);
    let axis = rank - 1;
    for (; axis >= 0; axis--) {
      source += from[axis]!;
      target += to[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      source -= from[axis]! * shape[axis]!;
      target -= to[axis]! * shape[axis]!;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

const offset = (start: readonly number[], strides: readonly number[]): number =>
  start.reduce((sum, at, axis) => sum + at * strides[axis]!, 0);

/** A row for an op whose walk is known from shapes and attributes. */
const moving = <Attributes extends object>(
  walk: (call: KernelCall<Attributes>) => Walk,
  prepare?: (call: KernelCall<Attributes>) => void,
): KernelRow<Attributes> => ({
  run(call) {
    prepare?.(call);
    const [x, y] = [call.inputs[0]!, call.outputs[0]!];
    move(call.kernels.memory, byteSizeOf(x.dtype), x.pointer, y.pointer, walk(call));
  },
});

const permute = moving<{ readonly axes: readonly number[] }>(({ inputs: [x], outputs: [y], attributes: { axes } }) => {
  const strides = stridesOf(x!.shape);
  return {
    shape: y!.shape,
    from: axes.map((axis) => strides[axis]!),
    to: stridesOf(y!.shape),
    fromStart: 0,
    toStart: 0,
  };
});

const slice = moving<{ readonly start: readonly number[] }>(({ inputs: [x], outputs: [y], attributes: { start } }) => {
  const strides = stridesOf(x!.shape);
  return { shape: y!.shape, from: strides, to: stridesOf(y!.shape), fromStart: offset(start, strides), toStart: 0 };
});

const pad = moving<{ readonly before: readonly number[] }>(
  ({ inputs: [x], outputs: [y], attributes: { before } }) => {
    const strides = stridesOf(y!.shape);
    return { shape: x!.shape, from: stridesOf(x!.shape), to: strides, fromStart: 0, toStart: offset(before, strides) };
  },
  ({ kernels, outputs: [y] }) => clear(kernels.memory, y!),
);

/** The operands one after another: whole runs below the axis, one per turn above it. */
const concat: KernelRow<{ readonly axis: number }> = {
  run({ kernels, inputs, outputs: [y], attributes: { axis } }) {
    const elementBytes = byteSizeOf(y!.dtype);
    const row = elementBytes * sizeOf(y!.shape.slice(axis));
    const outer = sizeOf(y!.shape.slice(0, axis));
    const bytes = new Uint8Array(kernels.memory.buffer);
    let column = y!.pointer;
    for (const { shape, pointer } of inputs) {
      const width = elementBytes * sizeOf(shape.slice(axis));
      for (let i = 0; i < outer; i++)
        bytes.copyWithin(column + i * row, pointer + i * width, pointer + (i + 1) * width);
      column += width;
    }
  },
};

export const movementRows: KernelRows = {
  reshape: copy,
  barrier: copy,
  stopGradient: copy,
  permute: permute as KernelRow,
  slice: slice as KernelRow,
  pad: pad as KernelRow,
  concat: concat as KernelRow,
};
