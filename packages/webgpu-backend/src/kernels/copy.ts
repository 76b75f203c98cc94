/**
 * Ops that move elements: y[to(i)] = x[from(i)] over a box of elements, one invocation each. Words are moved whatever
 * they stand for.
 */
import { type TensorSpec, sizeOf } from '@mindseye/tensor-core';
import { faultReport } from '../status.js';
import { type Dispatch, elementDispatch, input, output } from '../wgsl/dispatch.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { broadcastStrides, denseStrides, offsetCode } from '../wgsl/view.js';
import type { Kernel } from './kernel.js';

interface Walk {
  readonly strides: readonly number[];
  /** Offset of the first element. */
  readonly base?: number;
}

/** Copies a box of `shape` from input `index` to the output. */
function copyBox(name: string, shape: readonly number[], from: Walk, to: Walk, index = 0): Dispatch {
  const uniforms = new Uniforms();
  const view = { shape, strides: [from.strides, to.strides] };
  return elementDispatch({
    name,
    operands: [
      { name: 'x', type: 'u32', from: input(index) },
      { name: 'y', type: 'u32', from: output() },
    ],
    uniforms,
    count: sizeOf(shape),
    body: `${offsetCode(uniforms, 'i', view, ['xAt', 'yAt'], [from.base ?? 0, to.base ?? 0])}
  y[yAt] = x[xAt];`,
  });
}

const clear = ({ shape }: TensorSpec): Dispatch =>
  elementDispatch({
    name: 'clear',
    operands: [{ name: 'y', type: 'u32', from: output() }],
    uniforms: new Uniforms(),
    count: sizeOf(shape),
    body: '  y[i] = 0u;',
  });

/** Offset of the element at `start`. */
const offsetOf = (start: readonly number[], shape: readonly number[]): number =>
  denseStrides(shape).reduce((offset, stride, axis) => offset + stride * start[axis]!, 0);

const accepts = (): boolean => true;

const permute: Kernel<{ readonly axes: readonly number[] }> = {
  accepts,
  lower({ inputs: [x], outputs: [y], attributes: { axes } }) {
    const strides = denseStrides(x!.shape);
    const from = { strides: axes.map((axis) => strides[axis]!) };
    return [copyBox('permute', y!.shape, from, { strides: denseStrides(y!.shape) })];
  },
};

const broadcastTo: Kernel = {
  accepts,
  lower({ inputs: [x], outputs: [y] }) {
    const from = { strides: broadcastStrides(x!.shape, y!.shape) };
    return [copyBox('broadcastTo', y!.shape, from, { strides: denseStrides(y!.shape) })];
  },
};

const slice: Kernel<{ readonly start: readonly number[] }> = {
  accepts,
  lower({ inputs: [x], outputs: [y], attributes: { start } }) {
    const from = { strides: denseStrides(x!.shape), base: offsetOf(start, x!.shape) };
    return [copyBox('slice', y!.shape, from, { strides: denseStrides(y!.shape) })];
  },
};

const pad: Kernel<{ readonly before: readonly number[] }> = {
  accepts,
  lower({ inputs: [x], outputs: [y], attributes: { before } }) {
    const to = { strides: denseStrides(y!.shape), base: offsetOf(before, y!.shape) };
    return [clear(y!), copyBox('pad', x!.shape, { strides: denseStrides(x!.shape) }, to)];
  },
};

/** One dispatch per operand, so that their number has no limit. */
const concat: Kernel<{ readonly axis: number }> = {
  accepts,
  lower({ inputs, outputs: [y], attributes: { axis } }) {
    const strides = denseStrides(y!.shape);
    let start = 0;
    return inputs.map((x, index) => {
      const to = { strides, base: start * strides[axis]! };
      start += x.shape[axis]!;
      return copyBox('concat', x.shape, { strides: denseStrides(x.shape) }, to, index);
    });
  },
};

/** The target whole, then the update at a row that only the GPU knows. A start that does not fit leaves the target. */
const updateSlice: Kernel<{ readonly axis: number }> = {
  accepts,
  lower({ inputs: [target, update], outputs: [y], attributes: { axis } }) {
    const strides = denseStrides(y!.shape);
    const uniforms = new Uniforms();
    const view = { shape: update!.shape, strides: [denseStrides(update!.shape), strides] };
    const last = uniforms.i32(target!.shape[axis]! - update!.shape[axis]!);
    return [
      copyBox('updateSlice target', target!.shape, { strides }, { strides }),
      elementDispatch({
        name: 'updateSlice',
        operands: [
          { name: 'x', type: 'u32', from: input(1) },
          { name: 'start', type: 'i32', from: input(2) },
          { name: 'y', type: 'u32', from: output() },
        ],
        uniforms,
        declarations: [faultReport('updateSlice')],
        status: true,
        count: sizeOf(update!.shape),
        body: `  let row = start[0];
  if (row < 0 || row > ${last}) {
    if (i == 0u) { reportFault(row, u32(${last})); }
    return;
  }
${offsetCode(uniforms, 'i', view, ['xAt', 'yAt'])}
  y[yAt + u32(row) * ${uniforms.u32(strides[axis]!)}] = x[xAt];`,
      }),
    ];
  },
};

export const copyKernels: Readonly<Record<string, Kernel>> = {
  permute: permute as Kernel,
  broadcastTo,
  slice: slice as Kernel,
  pad: pad as Kernel,
  concat: concat as Kernel,
  updateSlice: updateSlice as Kernel,
};
