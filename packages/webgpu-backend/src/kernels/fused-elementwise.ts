/**
 * Fused ops whose elements do not meet: gates, activations, dropout, the optimiser's step. One invocation per element, which
 * reads all operands there before it writes: outputs may lie on them. The formulas stand in tensor-core's `fused/<name>.ts`.
 */
import { type AdamWAttributes, sizeOf } from '@mindseye/tensor-core';
import { type Dispatch, type Operand, elementDispatch, input, output } from '../wgsl/dispatch.js';
import type { Declaration } from '../wgsl/functions.js';
import { errorFunction, logistic } from '../wgsl/math.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type Kernel, type KernelCall, allF32 } from './kernel.js';
import { philox } from './random.js';

interface Pointwise {
  /** Names of the inputs whose element the body reads, by position; undefined where it reads none. */
  readonly reads: readonly (string | undefined)[];
  /** Inputs that the body reads as arrays. */
  readonly arrays?: readonly Operand[];
  readonly declarations?: readonly Declaration[];
  /** Statements that see the elements by name, and `i`. */
  readonly body: string;
  /** Expressions of the elements of the outputs. */
  readonly results: readonly string[];
}

/** An op on f32 tensors of one shape. */
function pointwise(
  name: string,
  { outputs, overwritten = [] }: Pick<KernelCall, 'outputs' | 'overwritten'>,
  uniforms: Uniforms,
  { reads, arrays = [], declarations = [], body, results }: Pointwise,
): readonly Dispatch[] {
  const read = reads.flatMap((operand, i) => (operand === undefined ? [] : [{ operand, i, over: overwritten[i] }]));
  const loads = read.map(({ operand, over }) => {
    const array = over === undefined ? `${operand}Data` : `out${over}`;
    return `  let ${operand} = ${array}[i];`;
  });
  return [
    elementDispatch({
      name,
      operands: [
        ...read.flatMap(({ operand, i, over }) =>
          over === undefined ? [{ name: `${operand}Data`, type: 'f32' as const, from: input(i) }] : [],
        ),
        ...arrays,
        ...results.map((_, i) => ({ name: `out${i}`, type: 'f32' as const, from: output(i) })),
      ],
      uniforms,
      declarations,
      count: sizeOf(outputs[0]!.shape),
      body: [...loads, body, ...results.map((result, i) => `  out${i}[i] = ${result};`)].join('\n'),
    }),
  ];
}

/** A pointwise op without attributes. */
const plain = (name: string, definition: Pointwise, inPlace: boolean): Kernel => ({
  accepts: allF32,
  lower: (call) => pointwise(name, call, new Uniforms(), definition),
  inPlace,
});

const gelu: Pointwise = {
  reads: ['x'],
  declarations: [errorFunction],
  body: '',
  results: ['0.5 * x * (1.0 + errorFunction(x * 0.70710678))'],
};

const geluBackward: Pointwise = {
  reads: ['x', undefined, 'dy'],
  declarations: [errorFunction],
  body: `  let normalCdf = 0.5 * (1.0 + errorFunction(x * 0.70710678));
  let density = 0.39894228 * exp(-0.5 * x * x);`,
  results: ['dy * (normalCdf + x * density)'],
};

const swiglu: Pointwise = {
  reads: ['gate', 'up'],
  declarations: [logistic],
  body: '',
  results: ['gate * logistic(gate) * up'],
};

const swigluBackward: Pointwise = {
  reads: ['gate', 'up', undefined, 'dy'],
  declarations: [logistic],
  body: '  let s = logistic(gate);',
  results: ['dy * up * s * (1.0 + gate * (1.0 - s))', 'dy * gate * s'],
};

const adamwStep: Kernel<AdamWAttributes> = {
  accepts: (inputs, _attributes, storageBuffers) => allF32(inputs) && storageBuffers >= 8,
  lower(call) {
    const { beta1, beta2, epsilon, weightDecay } = call.attributes;
    const uniforms = new Uniforms();
    return pointwise('adamwStep', call, uniforms, {
      reads: ['parameter', 'gradient', 'first', 'second'],
      arrays: [{ name: 'rates', type: 'f32', from: input(4) }],
      body: `  let mean = ${uniforms.f32(beta1)} * first + ${uniforms.f32(1 - beta1)} * gradient;
  let square = ${uniforms.f32(beta2)} * second + ${uniforms.f32(1 - beta2)} * gradient * gradient;
  let update = (mean / rates[1]) / (sqrt(square / rates[2]) + ${uniforms.f32(epsilon)});`,
      results: [`parameter * (1.0 - rates[0] * ${uniforms.f32(weightDecay)}) - rates[0] * update`, 'mean', 'square'],
    });
  },
  inPlace: true,
};

/** The words of elements 4j … 4j+3 are one Philox block; each invocation draws it and takes its own word. */
const dropout: Kernel<{ readonly probability: number; readonly stream: number }> = {
  accepts: ([x]) => x!.dtype === 'f32',
  lower(call) {
    const { probability, stream } = call.attributes;
    const uniforms = new Uniforms();
    return pointwise('dropout', call, uniforms, {
      reads: ['x'],
      arrays: [{ name: 'seed', type: 'u32', from: input(1) }],
      declarations: [philox],
      body: `  let words = philox(vec4u(i / 4u, 0u, ${uniforms.u32(stream)}, 0u), vec2u(seed[0], seed[1]));
  let chance = f32(words[i % 4u] >> 8u) * 5.9604645e-8;`,
      results: [`select(x * ${uniforms.f32(1 / (1 - probability))}, 0.0, chance < ${uniforms.f32(probability)})`],
    });
  },
  inPlace: true,
};

/** One invocation per element; it reads its partner half a row away, so nothing may lie on x. */
const rope: Kernel = {
  accepts: allF32,
  lower({ inputs: [x, cos], outputs: [y] }) {
    const [, heads, length, width] = x!.shape as readonly [number, number, number, number];
    const half = width / 2;
    const uniforms = new Uniforms();
    const operand = (name: string, i: number): Operand => ({ name, type: 'f32', from: input(i) });
    return [
      elementDispatch({
        name: 'rope',
        operands: [
          operand('x', 0),
          operand('cosines', 1),
          operand('sines', 2),
          { name: 'y', type: 'f32', from: output() },
        ],
        uniforms,
        count: sizeOf(y!.shape),
        body: `  let half = ${uniforms.u32(half)};
  let column = i % (2u * half);
  let row = i / (2u * half);
  let pair = column % half;
  let batch = row / ${uniforms.u32(heads * length)};
  let at = batch * ${uniforms.u32(cos!.shape[0] === 1 ? 0 : length * half)} + (row % ${uniforms.u32(length)}) * half + pair;
  let start = row * 2u * half + pair;
  let first = x[start] * cosines[at] - x[start + half] * sines[at];
  let second = x[start + half] * cosines[at] + x[start] * sines[at];
  y[i] = select(second, first, column < half);`,
      }),
    ];
  },
};

export const fusedElementwiseKernels: Readonly<Record<string, Kernel>> = {
  gelu: plain('gelu', gelu, true),
  geluBackward: plain('geluBackward', geluBackward, false),
  swiglu: plain('swiglu', swiglu, true),
  swigluBackward: plain('swigluBackward', swigluBackward, false),
  adamwStep: adamwStep as Kernel,
  dropout: dropout as Kernel,
  rope,
};
