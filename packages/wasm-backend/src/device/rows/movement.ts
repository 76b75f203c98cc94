/**
 * Ops that move elements without changing them, on 32-bit words: copies, permutations, slices, pads, broadcasts, choices.
 *
 * A moved value is walked in rows: the trailing axes that stay contiguous on both sides are one run, copied at once when
 * it is long, and the axes before it are plain nested counters.
 */
import { type TensorSpec, broadcastStrides, byteSizeOf, sameShape, sizeOf, stridesOf } from '@mindseye/tensor-core';
import { type KernelCall, type KernelOperand, type KernelRow, type KernelRows, clear } from '../kernel-row.js';

/** Runs shorter than this are copied element by element: a call costs more. */
const longRun = 32;

const isWord: KernelRow['takes'] = ([x]) => byteSizeOf(x!.dtype) === 4;

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

/** Copies `run` words from index `source` to index `target`. */
function copyRun(words: Uint32Array, source: number, target: number, run: number): void {
  if (run >= longRun) words.copyWithin(target, source, source + run);
  else for (let i = 0; i < run; i++) words[target + i] = words[source + i]!;
}

interface Walk {
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis, on the reading and the writing side. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly fromStart: number;
  readonly toStart: number;
}

function move(
  memory: WebAssembly.Memory,
  read: number,
  write: number,
  { shape, from, to, fromStart, toStart }: Walk,
): void {
  if (sizeOf(shape) === 0) return;
  const words = new Uint32Array(memory.buffer);
  let rank = shape.length;
  let run = 1;
  while (rank > 0 && (shape[rank - 1] === 1 || (from[rank - 1] === run && to[rank - 1] === run))) run *= shape[--rank]!;
  const index = shape.slice(0, rank).map(() => 0);
  let source = read / 4 + fromStart;
  let target = write / 4 + toStart;
  for (;;) {
    copyRun(words, source, target, run);
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
  takes: isWord,
  run(call) {
    prepare?.(call);
    move(call.kernels.memory, call.inputs[0]!.pointer, call.outputs[0]!.pointer, walk(call));
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

const broadcastTo = moving(({ inputs: [x], outputs: [y] }) => ({
  shape: y!.shape,
  from: broadcastStrides(x!.shape, y!.shape),
  to: stridesOf(y!.shape),
  fromStart: 0,
  toStart: 0,
}));

/** The leading axes of `y` that a condition has; undefined where it varies along a later axis than it is stretched along. */
function leadingAxes(condition: TensorSpec, y: TensorSpec): number | undefined {
  const padded = [...y.shape.slice(condition.shape.length).map(() => 1), ...condition.shape];
  const differs = padded.findIndex((size, axis) => size !== y.shape[axis]);
  if (differs < 0) return padded.length;
  return padded.slice(differs).every((size) => size === 1) ? differs : undefined;
}

/** One condition decides over a run of the trailing axes; a branch lies as y does, or is one element. */
const select: KernelRow = {
  takes: ([condition, a, b], [y]) =>
    byteSizeOf(y!.dtype) === 4 &&
    leadingAxes(condition!, y!) !== undefined &&
    [a, b].every((branch) => sameShape(branch!.shape, y!.shape) || sizeOf(branch!.shape) === 1),
  run({ kernels, inputs: [condition, a, b], outputs: [y] }) {
    const run = sizeOf(y!.shape.slice(leadingAxes(condition!, y!)));
    const chosen = new Uint8Array(kernels.memory.buffer, condition!.pointer, sizeOf(condition!.shape));
    const words = new Uint32Array(kernels.memory.buffer);
    const start = y!.pointer / 4;
    const put = (branch: KernelOperand): ((at: number) => void) => {
      const from = branch.pointer / 4;
      if (sameShape(branch.shape, y!.shape)) return (at) => copyRun(words, from + at, start + at, run);
      return (at) => words.fill(words[from]!, start + at, start + at + run);
    };
    const [putA, putB] = [put(a!), put(b!)];
    for (let i = 0; i < chosen.length; i++) (chosen[i] ? putA : putB)(i * run);
  },
};

export const movementRows: KernelRows = {
  reshape: copy,
  barrier: copy,
  stopGradient: copy,
  permute: permute as KernelRow,
  slice: slice as KernelRow,
  pad: pad as KernelRow,
  broadcastTo: broadcastTo as KernelRow,
  select,
};
