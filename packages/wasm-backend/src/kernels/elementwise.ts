/**
 * Element-wise kernels over contiguous f32 arrays: out[i] = op(a[i], b[i]). An output may be the same array as an input, but
 * must not overlap one in part. Each op is a row of a table; `emitElementwise` owns the loop and is used by other families.
 */
import { f32x4 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import type { Arithmetic, Tier } from './tier.js';
import { emitExp, emitSigmoid, emitTanh } from './transcendental.js';
import { forEachVector } from './vector-loop.js';

/**
 * Vectors per round. Long bodies need all registers for one vector; where pairs of vectors are joined, one round has a pair of
 * them, and a few rounds side by side are up to the processor.
 */
const UNROLL: Readonly<Record<Tier, { readonly short: number; readonly long: number }>> = {
  simd128: { short: 4, long: 1 },
  relaxed: { short: 4, long: 1 },
  revectorized: { short: 4, long: 2 },
};

/** Elements that are worth a thread of their own. */
export const ELEMENT_GRAIN = 32_768;

/** out[i] = op(x[i]) for `count` elements. */
export type UnaryKernel = (out: number, x: number, count: number) => void;
/** out[i] = op(a[i], b[i]) for `count` elements. */
export type BinaryKernel = (out: number, a: number, b: number, count: number) => void;

/** Element-wise arithmetic; offsets in bytes, counts in elements. */
export interface ElementwiseKernels {
  readonly add: BinaryKernel;
  readonly sub: BinaryKernel;
  readonly mul: BinaryKernel;
  readonly div: BinaryKernel;
  /** The larger; NaN if either is NaN. */
  readonly maximum: BinaryKernel;
  /** The smaller; NaN if either is NaN. */
  readonly minimum: BinaryKernel;
  readonly neg: UnaryKernel;
  readonly sqrt: UnaryKernel;
  /** e^x, relative error below 2e-7; results below 2^-125.5 are 0. */
  readonly exp: UnaryKernel;
  /** 1 / (1 + e^-x). */
  readonly sigmoid: UnaryKernel;
  /** Hyperbolic tangent, error below 4e-7. */
  readonly tanh: UnaryKernel;
  /** out[i] = x[i] * factor. */
  scale(out: number, x: number, factor: number, count: number): void;
  /** out[i] = x[i] + a[i] * factor. */
  addScaled(out: number, x: number, a: number, factor: number, count: number): void;
}

/** One element-wise kernel: its operands, and the values of its outputs from those of its inputs. */
export interface ElementwiseDefinition {
  readonly name: string;
  readonly inputs: number;
  readonly outputs?: number;
  /** Scalar f32 arguments, splatted. */
  readonly scalars?: number;
  readonly unroll: 'short' | 'long';
  /** Called before the loop (constants go into locals here); returns what is called inside it. */
  readonly prepare: (
    f: FunctionBuilder,
    arithmetic: Arithmetic,
    scalars: readonly Local<'v128'>[],
  ) => (inputs: readonly Local<'v128'>[]) => readonly Expression<'v128'>[];
}

/** Emits `name(outputs..., inputs..., scalars..., count)`. */
export function emitElementwise(context: KernelContext, definition: ElementwiseDefinition): void {
  const { name, inputs, outputs = 1, scalars = 0 } = definition;
  const named = <T extends 'i32' | 'f32'>(prefix: string, count: number, type: T): Record<string, T> =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, type]));
  const pointers = { ...named('out', outputs, 'i32'), ...named('in', inputs, 'i32') };
  const parameters = { ...pointers, ...named('scalar', scalars, 'f32'), count: 'i32' } as const;
  context.module.function({ name, parameters, result: 'void', exported: true }, (f, p) => {
    const locals = Object.values(p) as readonly Local[];
    const cursors = locals.slice(0, outputs + inputs) as readonly Local<'i32'>[];
    const factors = locals
      .slice(outputs + inputs, -1)
      .map((local) => f.let('factor', f32x4.splat(local as Local<'f32'>)));
    const compute = definition.prepare(f, context.arithmetic, factors);
    forEachVector(f, { cursors, count: p.count, unroll: UNROLL[context.tier][definition.unroll] }, (lanes) => {
      const values = compute(cursors.slice(outputs).map((cursor) => f.let('value', lanes.load(cursor))));
      // All outputs are computed before any is stored, because a store may overwrite an input.
      const results = values.map((value) => f.let('result', value));
      results.forEach((result, i) => f.do(lanes.store(cursors[i] as Local<'i32'>, result)));
    });
  });
}

type One = readonly [Local<'v128'>];
type Two = readonly [Local<'v128'>, Local<'v128'>];

const binary = (
  name: string,
  op: (a: Local<'v128'>, b: Local<'v128'>) => Expression<'v128'>,
): ElementwiseDefinition => ({
  name,
  inputs: 2,
  unroll: 'short',
  prepare: () => (values) => [op(...(values as Two))],
});

const unary = (name: string, op: (x: Local<'v128'>) => Expression<'v128'>): ElementwiseDefinition => ({
  name,
  inputs: 1,
  unroll: 'short',
  prepare: () => (values) => [op(...(values as One))],
});

const transcendental = (name: string, emitter: typeof emitExp): ElementwiseDefinition => ({
  name,
  inputs: 1,
  unroll: 'long',
  prepare: (f, arithmetic) => {
    const evaluate = emitter(f, arithmetic);
    return (values) => [evaluate(...(values as One))];
  },
});

const DEFINITIONS: readonly ElementwiseDefinition[] = [
  binary('add', f32x4.add),
  binary('sub', f32x4.sub),
  binary('mul', f32x4.mul),
  binary('div', f32x4.div),
  binary('maximum', f32x4.max),
  binary('minimum', f32x4.min),
  unary('neg', f32x4.neg),
  unary('sqrt', f32x4.sqrt),
  transcendental('exp', emitExp),
  transcendental('sigmoid', emitSigmoid),
  transcendental('tanh', emitTanh),
  {
    name: 'scale',
    inputs: 1,
    scalars: 1,
    unroll: 'short',
    prepare: (_f, _arithmetic, factors) => (values) => [
      f32x4.mul(values[0] as Local<'v128'>, factors[0] as Local<'v128'>),
    ],
  },
  {
    name: 'addScaled',
    inputs: 2,
    scalars: 1,
    unroll: 'short',
    prepare: (_f, arithmetic, factors) => (values) => {
      const [x, a] = values as Two;
      return [arithmetic.multiplyAdd(a, factors[0] as Local<'v128'>, x)];
    },
  },
];

/** Emits the table. */
export function emitElementwiseFamily(context: KernelContext): void {
  for (const definition of DEFINITIONS) emitElementwise(context, definition);
}

/**
 * Binds a kernel of `emitElementwise`: checks the ranges of all pointers and divides the elements over the threads.
 *
 * @param names of the pointers, in the kernel's order.
 */
export function bindElements(
  host: KernelHost,
  name: string,
  names: readonly string[],
): (pointers: readonly number[], scalars: readonly number[], count: number) => void {
  const run = host.kernel(name);
  const labels = names.map((pointer) => `${name} ${pointer}`);
  return (pointers, scalars, count) => {
    labels.forEach((label, i) => host.checkRange(label, pointers[i]!, count));
    host.divide(run, { count, grain: ELEMENT_GRAIN, multiple: 16 }, (from, size) => [
      ...pointers.map((pointer) => pointer + F32_BYTES * from),
      ...scalars,
      size,
    ]);
  };
}

/** Binds a kernel of one output and one input. */
export function bindUnary(host: KernelHost, name: string): UnaryKernel {
  const run = bindElements(host, name, ['out', 'x']);
  return (out, x, count) => run([out, x], [], count);
}

/** Binds a kernel of one output and two inputs. */
export function bindBinary(host: KernelHost, name: string): BinaryKernel {
  const run = bindElements(host, name, ['out', 'a', 'b']);
  return (out, a, b, count) => run([out, a, b], [], count);
}

/** Binds the family. */
export function bindElementwise(host: KernelHost): ElementwiseKernels {
  const scale = bindElements(host, 'scale', ['out', 'x']);
  const addScaled = bindElements(host, 'addScaled', ['out', 'x', 'a']);
  return {
    add: bindBinary(host, 'add'),
    sub: bindBinary(host, 'sub'),
    mul: bindBinary(host, 'mul'),
    div: bindBinary(host, 'div'),
    maximum: bindBinary(host, 'maximum'),
    minimum: bindBinary(host, 'minimum'),
    neg: bindUnary(host, 'neg'),
    sqrt: bindUnary(host, 'sqrt'),
    exp: bindUnary(host, 'exp'),
    sigmoid: bindUnary(host, 'sigmoid'),
    tanh: bindUnary(host, 'tanh'),
    scale: (out, x, factor, count) => scale([out, x], [factor], count),
    addScaled: (out, x, a, factor, count) => addScaled([out, x, a], [factor], count),
  };
}
