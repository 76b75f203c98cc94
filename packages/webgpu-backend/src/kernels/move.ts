/**
 * Ops that pick elements: y[i] = x[base + walk(i)], y dense, one invocation per word of y. Bits are moved whatever they stand
 * for. Two or four narrow elements that stay together are moved as one word.
 */
import { type DType, type TensorSpec, broadcastStrides, sizeOf, stridesOf } from '@mindseye/tensor-core';
import { elementsPerWord, gpuBytesOf, wordBytes } from '../element.js';
import { type Dispatch, elementDispatch, input, output } from '../wgsl/dispatch.js';
import { type CountedLoop, joinLoops, walkLoops } from '../wgsl/loops.js';
import { loadElement, mapDispatch } from '../wgsl/map.js';
import { Uniforms } from '../wgsl/uniforms.js';
import type { Kernel } from './kernel.js';

interface Picked {
  readonly dtype: DType;
  /** Of y. */
  readonly shape: readonly number[];
  /** How x moves along the axes of y, in elements. */
  readonly strides: readonly number[];
  /** The element of x that y starts with; 0 when left out. */
  readonly base?: number;
}

/** y picked out of input 0. */
function pick(name: string, { dtype, shape, strides, base }: Picked): Dispatch {
  const joined = joinLoops(shape.map((size, axis) => ({ size, strides: [strides[axis]!] })));
  const perWord = elementsPerWord(dtype);
  const whole = movesWords(joined, perWord) && (base ?? 0) % perWord === 0;
  const unit = whole ? perWord : 1;
  const loops = joined.map((loop, i) => inUnits(loop, unit, i === joined.length - 1));
  const uniforms = new Uniforms();
  const walk = walkLoops(uniforms, 'at', 'i', loops, 1);
  const start = base === undefined ? '' : `${uniforms.u32(base / unit)} + `;
  const moved = whole ? 'u32' : dtype;
  return mapDispatch({
    name,
    operands: [{ name: 'x', type: 'u32', from: input() }],
    results: [{ name: 'y', dtype: moved, from: output(), value: loadElement('x', moved, 'xAt') }],
    uniforms,
    count: sizeOf(shape) / unit,
    body: `${walk.statements}
  let xAt = ${start}${walk.offsets[0]};`,
  });
}

/** Whether a walk keeps the elements of every word together, all accesses alike. */
export function movesWords(loops: readonly CountedLoop[], perWord: number): boolean {
  if (perWord === 1) return true;
  const last = loops.at(-1);
  return (
    last !== undefined &&
    last.size % perWord === 0 &&
    last.strides.every((stride) => stride === 1) &&
    loops.slice(0, -1).every(({ strides }) => strides.every((stride) => stride % perWord === 0))
  );
}

/** A loop over elements as one over units of so many elements; the last loop counts the units. */
export const inUnits = ({ size, strides }: CountedLoop, unit: number, isLast: boolean): CountedLoop =>
  isLast ? { size: size / unit, strides } : { size, strides: strides.map((stride) => stride / unit) };

/** y as input 0 lies. */
export const copyWords = (name: string, y: TensorSpec): Dispatch =>
  elementDispatch({
    name,
    operands: [
      { name: 'x', type: 'u32', from: input() },
      { name: 'y', type: 'u32', from: output() },
    ],
    uniforms: new Uniforms(),
    count: gpuBytesOf(y) / wordBytes,
    body: '  y[i] = x[i];',
  });

const accepts = (): boolean => true;

const permute: Kernel<{ readonly axes: readonly number[] }> = {
  accepts,
  lower({ inputs: [x], outputs: [y], attributes: { axes } }) {
    const strides = stridesOf(x!.shape);
    return [pick('permute', { ...y!, strides: axes.map((axis) => strides[axis]!) })];
  },
};

const broadcastTo: Kernel = {
  accepts,
  lower: ({ inputs: [x], outputs: [y] }) => [
    pick('broadcastTo', { ...y!, strides: broadcastStrides(x!.shape, y!.shape) }),
  ],
};

const slice: Kernel<{ readonly start: readonly number[] }> = {
  accepts,
  lower({ inputs: [x], outputs: [y], attributes: { start } }) {
    const strides = stridesOf(x!.shape);
    const base = start.reduce((offset, from, axis) => offset + from * strides[axis]!, 0);
    return [pick('slice', { ...y!, strides, base })];
  },
};

/** A view of the plan is no step; these run where a view cannot be bound, or where plans are made without views. */
const renamed = (name: string): Kernel => ({ accepts, lower: ({ outputs: [y] }) => [copyWords(name, y!)] });

export const moveKernels: Readonly<Record<string, Kernel>> = {
  permute: permute as Kernel,
  broadcastTo,
  slice: slice as Kernel,
  reshape: renamed('reshape'),
  stopGradient: renamed('stopGradient'),
  barrier: renamed('barrier'),
};
