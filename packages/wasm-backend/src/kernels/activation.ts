/**
 * Activations over contiguous f32 arrays, forward and backward, by the exact formulas with the functions of
 * transcendental.ts. s = 1 / (1 + e^-g); Phi and phi are the normal distribution and density.
 *
 *   silu        y = x s(x)
 *   swiglu      y = g s(g) u                          (Shazeer 2020)
 *     backward  dg = dy u s (1 + g (1 - s)),  du = dy g s
 *   gelu        y = x Phi(x) = x (1 + erf(x / sqrt 2)) / 2   (exact form, Hendrycks & Gimpel 2016)
 *     backward  dx = dy (Phi(x) + x phi(x))
 */
import { f32x4 } from '../emit/index.js';
import type { FunctionBuilder, Local } from '../emit/index.js';
import { bindBinary, bindUnary, emitElementwise } from './elementwise.js';
import type { BinaryKernel, ElementwiseDefinition, UnaryKernel } from './elementwise.js';
import type { KernelContext, KernelHost } from './host.js';
import type { Arithmetic } from './tier.js';
import { emitErf, emitExp, emitSigmoid } from './transcendental.js';
import type { VectorFunction } from './transcendental.js';
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

/** Phi(x). */
function emitNormalCdf(f: FunctionBuilder, arithmetic: Arithmetic): VectorFunction {
  const erf = emitErf(f, arithmetic);
  const half = vectorConstant(f, 'half', 0.5);
  const sqrtHalf = vectorConstant(f, 'sqrtHalf', Math.SQRT1_2);
  return (x) => f.let('cdf', arithmetic.multiplyAdd(erf(f32x4.mul(x, sqrtHalf)), half, half));
}

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
      const cdf = emitNormalCdf(f, arithmetic);
      return (values) => {
        const [x] = values as One;
        return [f32x4.mul(x, cdf(x))];
      };
    },
  },
  {
    name: 'geluBackward',
    inputs: 2,
    unroll: 'long',
    prepare(f, arithmetic) {
      const cdf = emitNormalCdf(f, arithmetic);
      const exp = emitExp(f, arithmetic);
      const minusHalf = vectorConstant(f, 'minusHalf', -0.5);
      const peak = vectorConstant(f, 'peak', 1 / Math.sqrt(2 * Math.PI));
      return (values) => {
        const [x, dy] = values as Two;
        const gaussian = exp(f32x4.mul(f32x4.mul(x, x), minusHalf));
        return [f32x4.mul(dy, arithmetic.multiplyAdd(f32x4.mul(x, peak), gaussian, cdf(x)))];
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
  const swigluBackward = host.kernel('swigluBackward');
  return {
    silu: bindUnary(host, 'silu'),
    swiglu: bindBinary(host, 'swiglu'),
    swigluBackward({ gate, up, dy, dgate, dup, count }) {
      for (const [name, pointer] of Object.entries({ gate, up, dy, dgate, dup })) {
        host.checkRange(`swigluBackward ${name}`, pointer, count);
      }
      swigluBackward(dgate, dup, gate, up, dy, count);
    },
    gelu: bindUnary(host, 'gelu'),
    geluBackward: bindBinary(host, 'geluBackward'),
  };
}
