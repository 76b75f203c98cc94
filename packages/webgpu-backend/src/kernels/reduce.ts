/** Reductions over any axes: sum and max as expressions without arithmetic around them, argmax over the last axis. */
import { type FusedExpression, type ReductionKind, sizeOf } from '@mindseye/tensor-core';
import { type WgslScalar, wgslTypeOf } from '../element.js';
import { canGenerate, expressionDispatch } from '../generate/expression.js';
import { dispatch, input, output } from '../wgsl/dispatch.js';
import { foldPartials, reduceLanes } from '../wgsl/fold.js';
import { type Declaration } from '../wgsl/functions.js';
import { comparisons } from '../wgsl/math.js';
import { loadElement } from '../wgsl/map.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type Kernel, type KernelCall, isArithmetic } from './kernel.js';

interface ReduceAttributes {
  readonly axes: readonly number[];
  readonly keepDimensions: boolean;
}

const plainReduction = (
  kind: ReductionKind,
  { inputs: [x], attributes: { axes, keepDimensions } }: Pick<KernelCall<ReduceAttributes>, 'inputs' | 'attributes'>,
): FusedExpression => ({
  shape: x!.shape,
  constants: [],
  map: [{ kind: 'operand', operand: 0, dtype: x!.dtype }],
  results: [],
  reduction: { kind, axes, keepDimensions, of: 0, epilogue: [{ kind: 'reduced', dtype: x!.dtype }], results: [0] },
});

const reduction = (kind: ReductionKind): Kernel<ReduceAttributes> => ({
  accepts: (inputs, attributes, storageBuffers) =>
    canGenerate(plainReduction(kind, { inputs, attributes }), inputs, storageBuffers),
  lower: ({ inputs, outputs, attributes }) => [
    expressionDispatch({ name: kind, expression: plainReduction(kind, { inputs, attributes }), inputs, outputs }),
  ],
});

/** Of two (value, index) pairs: a NaN before a number, the larger number, then the lower index. */
const leads = (type: WgslScalar): readonly Declaration[] =>
  type === 'f32'
    ? [
        comparisons,
        `
fn leads(v: f32, i: u32, than: f32, at: u32) -> bool {
  if (isNan(v) != isNan(than)) { return isNan(v); }
  return isLess(than, v) || (!isLess(v, than) && i < at);
}`,
      ]
    : [`fn leads(v: ${type}, i: u32, than: ${type}, at: u32) -> bool { return v > than || (v == than && i < at); }`];

const argmax: Kernel = {
  accepts: ([x]) => isArithmetic(x!.dtype) || x!.dtype === 'bool',
  lower({ inputs: [x], outputs: [y] }) {
    const uniforms = new Uniforms();
    const type = wgslTypeOf(x!.dtype);
    const rows = sizeOf(y!.shape);
    return [
      dispatch({
        name: 'argmax',
        operands: [
          { name: 'x', type, from: input(0) },
          { name: 'y', type: 'i32', from: output() },
        ],
        uniforms,
        declarations: [
          ...leads(type),
          `var<workgroup> values: array<${type}, ${reduceLanes}>;`,
          `var<workgroup> places: array<u32, ${reduceLanes}>;`,
        ],
        invocations: reduceLanes,
        workgroups: rows,
        body: `  if (block >= ${uniforms.u32(rows)}) { return; }
  let width = ${uniforms.u32(x!.shape.at(-1)!)};
  let row = block * width;
  var best = ${loadElement('x', x!.dtype, 'row')};
  var place = 0u;
  for (var r = lane; r < width; r += ${reduceLanes}u) {
    let at = row + r;
    let value = ${loadElement('x', x!.dtype, 'at')};
    if (leads(value, r, best, place)) { best = value; place = r; }
  }
  values[lane] = best;
  places[lane] = place;${foldPartials(
    (a, b) => `if (leads(values[${b}], places[${b}], values[${a}], places[${a}])) {
      values[${a}] = values[${b}];
      places[${a}] = places[${b}];
    }`,
  )}
  if (lane == 0u) { y[block] = i32(places[0]); }`,
      }),
    ];
  },
};

export const reduceKernels: Readonly<Record<string, Kernel>> = {
  sum: reduction('sum') as Kernel,
  max: reduction('max') as Kernel,
  argmax,
};
