/**
 * Fused ops whose elements do not meet: gates, activations, dropout, rotary embedding, the optimiser's step. One
 * invocation per element. The formulas stand in tensor-core's `fused/<name>.ts`.
 */
import { type AdamWAttributes, sizeOf } from '@mindseye/tensor-core';
import { type Dispatch, elementDispatch, input, output } from '../wgsl/dispatch.js';
import { errorFunction, logistic } from '../wgsl/math.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type Kernel, type KernelCall, allF32 } from './kernel.js';
import { philox } from './random.js';

interface FusedBody {
  /** Names of the inputs that the body reads, by position; undefined where it does not. */
  readonly reads: readonly (string | undefined)[];
  readonly writes: readonly string[];
  readonly functions?: string;
  readonly body: (uniforms: Uniforms) => string;
}

function fused(
  name: string,
  { outputs }: Pick<KernelCall, 'outputs'>,
  { reads, writes, functions, body }: FusedBody,
): readonly Dispatch[] {
  const uniforms = new Uniforms();
  const inputs = reads.flatMap((operand, i) =>
    operand ? [{ name: operand, type: 'f32' as const, from: input(i) }] : [],
  );
  return [
    elementDispatch({
      name,
      operands: [...inputs, ...writes.map((operand, i) => ({ name: operand, type: 'f32' as const, from: output(i) }))],
      uniforms,
      declarations: functions ? [functions] : [],
      count: sizeOf(outputs[0]!.shape),
      body: body(uniforms),
    }),
  ];
}

/** An op on f32 tensors of one shape, the same at every element. */
const pointwise = (name: string, definition: FusedBody): Kernel => ({
  accepts: allF32,
  lower: (call) => fused(name, call, definition),
});

const gelu: FusedBody = {
  reads: ['x'],
  writes: ['y'],
  functions: errorFunction,
  body: () => '  y[i] = 0.5 * x[i] * (1.0 + errorFunction(x[i] * 0.70710678));',
};

const geluBackward: FusedBody = {
  reads: ['x', undefined, 'dy'],
  writes: ['dx'],
  functions: errorFunction,
  body: () => `  let normalCdf = 0.5 * (1.0 + errorFunction(x[i] * 0.70710678));
  let density = 0.39894228 * exp(-0.5 * x[i] * x[i]);
  dx[i] = dy[i] * (normalCdf + x[i] * density);`,
};

const swiglu: FusedBody = {
  reads: ['gate', 'up'],
  writes: ['y'],
  functions: logistic,
  body: () => '  y[i] = gate[i] * logistic(gate[i]) * up[i];',
};

const swigluBackward: FusedBody = {
  reads: ['gate', 'up', undefined, 'dy'],
  writes: ['dgate', 'dup'],
  functions: logistic,
  body: () => `  let s = logistic(gate[i]);
  dgate[i] = dy[i] * up[i] * s * (1.0 + gate[i] * (1.0 - s));
  dup[i] = dy[i] * gate[i] * s;`,
};

const adamwStep: Kernel<AdamWAttributes> = {
  accepts: (inputs, _attributes, storageBuffers) => allF32(inputs) && storageBuffers >= 8,
  lower: (call) =>
    fused('adamwStep', call, {
      reads: ['parameter', 'gradient', 'first', 'second', 'rates'],
      writes: ['p', 'm', 'v'],
      body(uniforms) {
        const { beta1, beta2, epsilon, weightDecay } = call.attributes;
        return `  let g = gradient[i];
  let mean = ${uniforms.f32(beta1)} * first[i] + ${uniforms.f32(1 - beta1)} * g;
  let square = ${uniforms.f32(beta2)} * second[i] + ${uniforms.f32(1 - beta2)} * g * g;
  let update = (mean / rates[1]) / (sqrt(square / rates[2]) + ${uniforms.f32(epsilon)});
  m[i] = mean;
  v[i] = square;
  p[i] = parameter[i] * (1.0 - rates[0] * ${uniforms.f32(weightDecay)}) - rates[0] * update;`;
      },
    }),
};

/** The words of elements 4j … 4j+3 are one Philox block; each invocation draws it and takes its own word. */
const dropout: Kernel<{ readonly probability: number; readonly stream: number }> = {
  accepts: ([x]) => x!.dtype === 'f32',
  lower({ outputs, attributes: { probability, stream } }) {
    const uniforms = new Uniforms();
    return [
      elementDispatch({
        name: 'dropout',
        operands: [
          { name: 'x', type: 'f32', from: input(0) },
          { name: 'seed', type: 'u32', from: input(1) },
          { name: 'y', type: 'f32', from: output() },
        ],
        uniforms,
        declarations: [philox],
        count: sizeOf(outputs[0]!.shape),
        body: `  let words = philox(vec4u(i / 4u, 0u, ${uniforms.u32(stream)}, 0u), vec2u(seed[0], seed[1]));
  let chance = f32(words[i % 4u] >> 8u) * 5.9604645e-8;
  y[i] = select(x[i] * ${uniforms.f32(1 / (1 - probability))}, 0.0, chance < ${uniforms.f32(probability)});`,
      }),
    ];
  },
};

/** One invocation per element; it reads its partner half a row away. */
const rope: Kernel = {
  accepts: allF32,
  lower(call) {
    const [x, cos] = call.inputs;
    const [, heads, length, width] = x!.shape as readonly [number, number, number, number];
    const half = width / 2;
    return fused('rope', call, {
      reads: ['x', 'cosines', 'sines'],
      writes: ['y'],
      body: (uniforms) => `  let half = ${uniforms.u32(half)};
  let column = i % (2u * half);
  let row = i / (2u * half);
  let pair = column % half;
  let batch = row / ${uniforms.u32(heads * length)};
  let at = batch * ${uniforms.u32(cos!.shape[0] === 1 ? 0 : length * half)} + (row % ${uniforms.u32(length)}) * half + pair;
  let start = row * 2u * half + pair;
  let first = x[start] * cosines[at] - x[start + half] * sines[at];
  let second = x[start + half] * cosines[at] + x[start] * sines[at];
  y[i] = select(second, first, column < half);`,
    });
  },
};

export const fusedElementwiseKernels: Readonly<Record<string, Kernel>> = {
  gelu: pointwise('gelu', gelu),
  geluBackward: pointwise('geluBackward', geluBackward),
  swiglu: pointwise('swiglu', swiglu),
  swigluBackward: pointwise('swigluBackward', swigluBackward),
  adamwStep: adamwStep as Kernel,
  dropout: dropout as Kernel,
  rope,
};
