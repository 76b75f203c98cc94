/**
 * Reductions over any axes: sum, max, argmax.
 *
 * One workgroup per result: 64 invocations each fold every 64th element, then a tree folds their 64 partial results in
 * workgroup memory (which also keeps the rounding error of a long sum near log n). Short reductions take one invocation per
 * result instead. Order is fixed, so results are the same on every run.
 */
import { type DType, type TensorSpec, sizeOf } from '@mindseye/tensor-core';
import { type WgslScalar, wgslTypeOf } from '../element.js';
import { type Dispatch, dispatch, elementDispatch, input, output } from '../wgsl/dispatch.js';
import { foldPartials, reduceLanes } from '../wgsl/fold.js';
import { comparisons, larger } from '../wgsl/math.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { denseStrides, offsetCode } from '../wgsl/view.js';
import { type Kernel, type KernelCall, isArithmetic } from './kernel.js';

/** Up to so many elements one invocation folds alone. */
const shortReduction = 16;

interface Reduction {
  readonly declarations: string;
  /** The value of an empty reduction. */
  readonly identity: (uniforms: Uniforms) => string;
  /** Folds the expressions `a` and `b`. */
  readonly fold: (a: string, b: string) => string;
}

const reductions: Readonly<Record<string, Partial<Record<DType, Reduction>>>> = {
  sum: {
    f32: { declarations: '', identity: () => '0.0', fold: (a, b) => `${a} + ${b}` },
    i32: { declarations: '', identity: () => '0i', fold: (a, b) => `${a} + ${b}` },
    u32: { declarations: '', identity: () => '0u', fold: (a, b) => `${a} + ${b}` },
  },
  max: {
    f32: {
      declarations: larger,
      identity: (uniforms) => uniforms.f32(-Infinity),
      fold: (a, b) => `larger(${a}, ${b})`,
    },
    i32: { declarations: '', identity: (uniforms) => uniforms.i32(-0x80000000), fold: (a, b) => `max(${a}, ${b})` },
    u32: { declarations: '', identity: () => '0u', fold: (a, b) => `max(${a}, ${b})` },
  },
};

interface ReduceAttributes {
  readonly axes: readonly number[];
}

function reduce(
  name: string,
  { inputs, outputs, attributes: { axes } }: KernelCall<ReduceAttributes>,
): readonly Dispatch[] {
  const [x] = inputs as readonly [TensorSpec];
  const { declarations, identity, fold } = reductions[name]![x.dtype]!;
  const type = wgslTypeOf(x.dtype);
  const strides = denseStrides(x.shape);
  const pick = (reduced: boolean) => {
    const chosen = x.shape.map((_, axis) => axis).filter((axis) => axes.includes(axis) === reduced);
    return { shape: chosen.map((axis) => x.shape[axis]!), strides: [chosen.map((axis) => strides[axis]!)] };
  };
  const [kept, gone] = [pick(false), pick(true)];
  const results = sizeOf(outputs[0]!.shape);
  const length = sizeOf(gone.shape);
  const uniforms = new Uniforms();
  const operands = [
    { name: 'x', type, from: input(0) },
    { name: 'y', type, from: output() },
  ];
  const walk = (first: string, step: string): string => `
  var total = ${identity(uniforms)};
  for (var r = ${first}; r < ${uniforms.u32(length)}; r += ${step}) {
${offsetCode(uniforms, 'r', gone, ['inner'])}
    total = ${fold('total', 'x[base + inner]')};
  }`;
  if (length <= shortReduction)
    return [
      elementDispatch({
        name: `${name} short`,
        operands,
        uniforms,
        declarations: [declarations],
        count: results,
        body: `${offsetCode(uniforms, 'i', kept, ['base'])}${walk('0u', '1u')}
  y[i] = total;`,
      }),
    ];
  return [
    dispatch({
      name,
      operands,
      uniforms,
      declarations: [declarations, `var<workgroup> partial: array<${type}, ${reduceLanes}>;`],
      invocations: reduceLanes,
      workgroups: results,
      body: `  if (block >= ${uniforms.u32(results)}) { return; }
${offsetCode(uniforms, 'block', kept, ['base'])}${walk('lane', `${reduceLanes}u`)}
  partial[lane] = total;${foldPartials((a, b) => `partial[${a}] = ${fold(`partial[${a}]`, `partial[${b}]`)};`)}
  if (lane == 0u) { y[block] = partial[0]; }`,
    }),
  ];
}

const fromTable = (name: string): Kernel<ReduceAttributes> => ({
  accepts: ([x]) => reductions[name]![x!.dtype] !== undefined,
  lower: (call) => reduce(name, call),
});

/** Of two (value, index) pairs: a NaN before a number, the larger number, then the lower index. */
const leads = (type: WgslScalar): string =>
  type === 'f32'
    ? `${comparisons}
fn leads(v: f32, i: u32, than: f32, at: u32) -> bool {
  if (isNan(v) != isNan(than)) { return isNan(v); }
  return isLess(than, v) || (!isLess(v, than) && i < at);
}`
    : `fn leads(v: ${type}, i: u32, than: ${type}, at: u32) -> bool { return v > than || (v == than && i < at); }`;

const argmax: Kernel = {
  accepts: ([x]) => isArithmetic(x!.dtype),
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
          leads(type),
          `var<workgroup> values: array<${type}, ${reduceLanes}>;`,
          `var<workgroup> places: array<u32, ${reduceLanes}>;`,
        ],
        invocations: reduceLanes,
        workgroups: rows,
        body: `  if (block >= ${uniforms.u32(rows)}) { return; }
  let width = ${uniforms.u32(x!.shape.at(-1)!)};
  let row = block * width;
  var best = x[row];
  var place = 0u;
  for (var r = lane; r < width; r += ${reduceLanes}u) {
    if (leads(x[row + r], r, best, place)) { best = x[row + r]; place = r; }
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
  sum: fromTable('sum') as Kernel,
  max: fromTable('max') as Kernel,
  argmax,
};
