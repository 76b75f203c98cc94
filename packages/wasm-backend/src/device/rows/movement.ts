/**
 * Ops that move elements without changing them: copies, permutations, slices, pads.
 *
 * A moved value is walked along as few axes as it has: those that stay neighbours on both sides are one. Where the innermost
 * axis is contiguous on both sides it is a run, where it is on the writing side only and another axis on the reading side the
 * two are a transpose; up to two axes around a run, one around a transpose, are loops of the kernel, the others of this file.
 * Elements are 1, 2 or 4 bytes; what they mean is no matter.
 */
import { byteSizeOf, sizeOf, stridesOf } from '@mindseye/tensor-core';
import type { ElementBytes, Kernels, MoveLoop } from '../../kernels/index.js';
import { type KernelCall, type KernelRow, type KernelRows, clear } from '../kernel-row.js';

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

interface Walk {
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis, on the reading and the writing side. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly fromStart: number;
  readonly toStart: number;
}

/** One axis of a walk, in bytes. */
type Axis = MoveLoop;

/** The axes that move, neighbours that are one on both sides as one. Outermost first. */
function axesOf({ shape, from, to }: Walk, elementBytes: number): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((count, i) => {
    if (count === 1) return;
    const axis = { count, from: from[i]! * elementBytes, to: to[i]! * elementBytes };
    const last = axes.at(-1);
    if (last?.from === count * axis.from && last.to === count * axis.to)
      axes[axes.length - 1] = { ...axis, count: last.count * count };
    else axes.push(axis);
  });
  return axes;
}

const once: Axis = { count: 1, from: 0, to: 0 };

/** The longest of some axes in the order given, and the others. */
function longestOf(axes: readonly Axis[], count: number): readonly [longest: readonly Axis[], others: readonly Axis[]] {
  const chosen = new Set(axes.toSorted((a, b) => b.count - a.count).slice(0, count));
  return [axes.filter((axis) => chosen.has(axis)), axes.filter((axis) => !chosen.has(axis))];
}

/** Calls `body` with the byte offsets of every place of some axes. */
function forEachPlace(axes: readonly Axis[], body: (from: number, to: number) => void, from = 0, to = 0): void {
  const [axis, ...rest] = axes;
  if (!axis) body(from, to);
  else for (let i = 0; i < axis.count; i++) forEachPlace(rest, body, from + i * axis.from, to + i * axis.to);
}

/** Moves the elements of a walk. @param read, write byte offsets of the two values. */
function move(kernels: Kernels, elementBytes: ElementBytes, read: number, write: number, walk: Walk): void {
  if (sizeOf(walk.shape) === 0) return;
  const axes = axesOf(walk, elementBytes);
  const [from, to] = [read + walk.fromStart * elementBytes, write + walk.toStart * elementBytes];
  const innermost = axes.at(-1);
  if (innermost && innermost.from !== elementBytes && innermost.to === elementBytes) {
    const row = axes.findIndex((axis) => axis.from === elementBytes);
    if (row >= 0) {
      const rows = axes[row]!;
      const around = axes.filter((axis) => axis !== rows && axis !== innermost);
      const [[outer = once], others] = longestOf(around, 1);
      forEachPlace(others, (fromOffset, toOffset) =>
        kernels.transpose({
          to: to + toOffset,
          from: from + fromOffset,
          elementBytes,
          rows: rows.count,
          columns: innermost.count,
          toStride: rows.to,
          fromStride: innermost.from,
          outer,
        }),
      );
      return;
    }
  }
  const isRun = innermost?.from === elementBytes && innermost.to === elementBytes;
  const runBytes = isRun ? elementBytes * axes.pop()!.count : elementBytes;
  const [[inner = once, outer = once], others] = longestOf(axes.toReversed(), 2);
  forEachPlace(others.toReversed(), (fromOffset, toOffset) =>
    kernels.copyRuns({ to: to + toOffset, from: from + fromOffset, runBytes, inner, outer }),
  );
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
    move(call.kernels, byteSizeOf(x.dtype) as ElementBytes, x.pointer, y.pointer, walk(call));
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
  ({ kernels, outputs: [y] }) => clear(kernels, y!),
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
