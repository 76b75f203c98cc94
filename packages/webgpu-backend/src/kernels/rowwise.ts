/**
 * Fused ops along the last axis: softmax, RMS and layer normalisation. One workgroup of 64 invocations per row.
 * The formulas stand in tensor-core's `fused/<name>.ts`.
 */
import { type TensorSpec, sizeOf } from '@mindseye/tensor-core';
import { type BindingSource, type Dispatch, dispatch, input, output } from '../wgsl/dispatch.js';
import { addF32, foldF32, partialsF32, reduceLanes } from '../wgsl/fold.js';
import type { WgslFunctions } from '../wgsl/functions.js';
import { larger } from '../wgsl/math.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type Kernel, allF32 } from './kernel.js';

interface RowDefinition {
  readonly name: string;
  readonly operands: readonly (readonly [name: string, from: BindingSource])[];
  readonly rows: number;
  readonly width: number;
  readonly functions?: readonly WgslFunctions[];
  /** Sees `row` (its number), `start` (its first element), `width`, `lane`. */
  readonly body: (uniforms: Uniforms) => string;
}

function rowDispatch({ name, operands, rows, width, functions = [], body }: RowDefinition): Dispatch {
  const uniforms = new Uniforms();
  return dispatch({
    name,
    operands: operands.map(([operand, from]) => ({ name: operand, type: 'f32', from })),
    uniforms,
    declarations: [...functions, partialsF32],
    invocations: reduceLanes,
    workgroups: rows,
    body: `  if (block >= ${uniforms.u32(rows)}) { return; }
  let row = block;
  let width = ${uniforms.u32(width)};
  let start = row * width;${body(uniforms)}`,
  });
}

/** Statements run for every column of the row, 64 at a time; they see the element's place as `at`. */
const eachColumn = (statements: string): string => `
  for (var column = lane; column < width; column += ${reduceLanes}u) {
    let at = start + column;
    ${statements}
  }`;

const rowsOf = ({ shape }: TensorSpec): { readonly rows: number; readonly width: number } => {
  const width = shape.at(-1) ?? 1;
  return { width, rows: width === 0 ? 0 : sizeOf(shape) / width };
};

const softmax: Kernel = {
  accepts: allF32,
  lower: ({ inputs: [x] }) => [
    rowDispatch({
      name: 'softmax',
      operands: [
        ['x', input(0)],
        ['y', output()],
      ],
      ...rowsOf(x!),
      functions: [larger],
      body: (uniforms) => `
  let nothing = ${uniforms.f32(-Infinity)};
  var most = nothing;${eachColumn('most = larger(most, x[at]);')}${foldF32('largest', 'most', (a, b) => `larger(${a}, ${b})`)}
  let isHidden = largest == nothing;
  var sum = 0.0;${eachColumn('sum += exp(x[at] - largest);')}${foldF32('total', 'sum', addF32)}${eachColumn(
    'y[at] = select(exp(x[at] - largest) / total, 0.0, isHidden);',
  )}`,
    }),
  ],
};

const softmaxBackward: Kernel = {
  accepts: allF32,
  lower: ({ inputs: [x] }) => [
    rowDispatch({
      name: 'softmaxBackward',
      operands: [
        ['y', input(1)],
        ['dy', input(2)],
        ['dx', output()],
      ],
      ...rowsOf(x!),
      body: () => `
  var sum = 0.0;${eachColumn('sum += y[at] * dy[at];')}${foldF32('mean', 'sum', addF32)}${eachColumn(
    'dx[at] = y[at] * (dy[at] - mean);',
  )}`,
    }),
  ],
};

interface NormAttributes {
  readonly epsilon: number;
}

const rmsNorm: Kernel<NormAttributes> = {
  accepts: allF32,
  lower: ({ inputs: [x], attributes: { epsilon } }) => [
    rowDispatch({
      name: 'rmsNorm',
      operands: [
        ['x', input(0)],
        ['weight', input(1)],
        ['y', output(0)],
        ['scale', output(1)],
      ],
      ...rowsOf(x!),
      body: (uniforms) => `
  var sum = 0.0;${eachColumn('sum += x[at] * x[at];')}${foldF32('squares', 'sum', addF32)}
  let r = inverseSqrt(squares / f32(width) + ${uniforms.f32(epsilon)});
  if (lane == 0u) { scale[row] = r; }${eachColumn('y[at] = x[at] * r * weight[column];')}`,
    }),
  ],
};

/** dx by rows; dw by columns, each folding over all rows. */
const rmsNormBackward: Kernel = {
  accepts: allF32,
  lower({ inputs: [x, weight] }) {
    const { rows, width } = rowsOf(x!);
    return [
      rowDispatch({
        name: 'rmsNormBackward',
        operands: [
          ['x', input(0)],
          ['weight', input(1)],
          ['scale', input(3)],
          ['dy', input(4)],
          ['dx', output(0)],
        ],
        rows,
        width,
        body: () => `
  let r = scale[row];
  var sum = 0.0;${eachColumn('sum += dy[at] * weight[column] * x[at];')}${foldF32('total', 'sum', addF32)}
  let projection = total * r * r / f32(width);${eachColumn('dx[at] = r * (dy[at] * weight[column] - x[at] * projection);')}`,
      }),
      columnDispatch(
        'rmsNormBackward weight',
        [['scale', input(3)]],
        output(1),
        rows,
        sizeOf(weight!.shape),
        'dy[at] * x[at] * scale[r]',
      ),
    ];
  },
};

/** y[column] = Σ_r term, over the rows r of x and dy (inputs 0 and 4 of a norm's backward op). */
function columnDispatch(
  name: string,
  operands: RowDefinition['operands'],
  to: BindingSource,
  rows: number,
  width: number,
  term: string,
): Dispatch {
  return rowDispatch({
    name,
    operands: [['x', input(0)], ['dy', input(4)], ...operands, ['gradient', to]],
    rows: width,
    width,
    body: (uniforms) => `
  var sum = 0.0;
  for (var r = lane; r < ${uniforms.u32(rows)}; r += ${reduceLanes}u) {
    let at = r * width + row;
    sum += ${term};
  }${foldF32('total', 'sum', addF32)}
  if (lane == 0u) { gradient[row] = total; }`,
  });
}

/** Two passes, mean and then variance: their one-pass difference cancels. */
const layerNorm: Kernel<NormAttributes> = {
  accepts: allF32,
  lower: ({ inputs: [x], attributes: { epsilon } }) => [
    rowDispatch({
      name: 'layerNorm',
      operands: [
        ['x', input(0)],
        ['weight', input(1)],
        ['bias', input(2)],
        ['y', output()],
      ],
      ...rowsOf(x!),
      body: (uniforms) => `
  var sum = 0.0;${eachColumn('sum += x[at];')}${foldF32('total', 'sum', addF32)}
  let mean = total / f32(width);
  var squares = 0.0;${eachColumn('squares += (x[at] - mean) * (x[at] - mean);')}${foldF32('spread', 'squares', addF32)}
  let r = inverseSqrt(spread / f32(width) + ${uniforms.f32(epsilon)});${eachColumn(
    'y[at] = (x[at] - mean) * r * weight[column] + bias[column];',
  )}`,
    }),
  ],
};

export const rowwiseKernels: Readonly<Record<string, Kernel>> = {
  softmax,
  softmaxBackward,
  rmsNorm: rmsNorm as Kernel,
  rmsNormBackward,
  layerNorm: layerNorm as Kernel,
};
