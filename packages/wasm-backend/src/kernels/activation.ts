/**
 * Activations over contiguous f32 arrays, forward and backward, by the exact formulas with the functions of
 * transcendental.ts. s = 1 / (1 + e^-g); Phi and phi are the normal distribution and density.
 *
 *   silu        y = x s(x)
 *   swiglu      y = g s(g) u                          (Shazeer 2020)
 *     backward  dg = dy u s (1 + g (1 - s)),  du = dy g s
 *   gelu        y = x Phi(x) = x (1 + erf(x / sqrt 2)) / 2   (exact form, Hendrycks & Gimpel 2016)
 *     backward  dx = dy (Phi(x) + x phi(x))
 *
 * GELU and its slope are each 1/2 and an odd function with a rational of its own: no exponential.
 */
import { f32x4 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { bindBinary, bindElements, bindUnary, emitElementwise } from './elementwise.js';
import type { BinaryKernel, ElementwiseDefinition, UnaryKernel } from './elementwise.js';
import type { KernelContext, KernelHost } from './host.js';
import { emitCentredGeluSlope, emitCentredNormal, emitSigmoid } from './transcendental.js';
import { vectorConstant } from './vector-loop.js';

/** Activations; offsets in bytes, counts in elements. Outputs may be their inputs. */
export interface ActivationKernels {
  readonly silu: UnaryKernel;
  /** (out, gate, up, count). */
  readonly swiglu: BinaryKernel;
  /** Writes dgate and dup; each may be any one of the inputs. */
  swigluBackward(operands: SwigluBackwardArguments): void;
  /** Exact (erf) form; absolute error below 4e-7 * (1 + |x|). */
  readonly gelu: UnaryKernel;
  /** (dx, x, dy, count). */
  readonly geluBackward: BinaryKernel;
}

/** Operands of `swigluBackward`, byte offsets to `count` elements each. */
export interface SwigluBackwardArguments {
  readonly gate: number;
  readonly up: number;
  readonly dy: number;
  readonly dgate: number;
  readonly dup: number;
  readonly count: number;
}

type One = readonly [Local<'v128'>];
type Two = readonly [Local<'v128'>, Local<'v128'>];
type Three = readonly [Local<'v128'>, Local<'v128'>, Local<'v128'>];

const DEFINITIONS: readonly ElementwiseDefinition[] = [
  {
    name: 'silu',
    inputs: 1,
    unroll: 'long',
    prepare(f, arithmetic) {
      const sigmoid = emitSigmoid(f, arithmetic);
      return (values) => {
        const [x] = values as One;
        return [f32x4.mul(x, sigmoid(x))];
      };
    },
  },
  {
    name: 'swiglu',
    inputs: 2,
    unroll: 'long',
    prepare(f, arithmetic) {
      const sigmoid = emitSigmoid(f, arithmetic);
      return (values) => {
        const [gate, up] = values as Two;
        return [f32x4.mul(f32x4.mul(gate, sigmoid(gate)), up)];
      };
    },
  },
  {
    name: 'swigluBackward',
    inputs: 3,
    outputs: 2,
    unroll: 'long',
    prepare(f, arithmetic) {
      const sigmoid = emitSigmoid(f, arithmetic);
      const one = vectorConstant(f, 'one', 1);
      return (values) => {
        const [gate, up, dy] = values as Three;
        const s = sigmoid(gate);
        const flow = f.let('flow', f32x4.mul(dy, s));
        const slope = arithmetic.multiplyAdd(gate, f32x4.sub(one, s), one);
        return [f32x4.mul(f32x4.mul(flow, up), slope), f32x4.mul(flow, gate)];
      };
    },
  },
  {
    name: 'gelu',
    inputs: 1,
    unroll: 'long',
    prepare(f, arithmetic) {
      const centredNormal = emitCentredNormal(f, arithmetic);
      const half = vectorConstant(f, 'half', 0.5);
      return (values) => {
        const [x] = values as One;
        return [f32x4.mul(x, f32x4.add(centredNormal(x), half))];
      };
    },
  },
  {
    name: 'geluBackward',
    inputs: 2,
    unroll: 'long',
    prepare(f, arithmetic) {
      const centredSlope = emitCentredGeluSlope(f, arithmetic);
      const half = vectorConstant(f, 'half', 0.5);
      return (values) => {
        const [x, dy] = values as Two;
        return [f32x4.mul(dy, f32x4.add(centredSlope(x), half))];
      };
    },
  },
];

/** Emits the activations. */
export function emitActivation(context: KernelContext): void {
  for (const definition of DEFINITIONS) emitElementwise(context, definition);
}

/** Binds the activations. */
export function bindActivation(host: KernelHost): ActivationKernels {
  const swigluBackward = bindElements(host, 'swigluBackward', ['dgate', 'dup', 'gate', 'up', 'dy']);
  return {
    silu: bindUnary(host, 'silu'),
    swiglu: bindBinary(host, 'swiglu'),
    swigluBackward: ({ gate, up, dy, dgate, dup, count }) => swigluBackward([dgate, dup, gate, up, dy], [], count),
    gelu: bindUnary(host, 'gelu'),
    geluBackward: bindBinary(host, 'geluBackward'),
  };
}
