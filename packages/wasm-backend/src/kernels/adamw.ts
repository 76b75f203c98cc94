/**
 * One AdamW update over flat f32 arrays (Loshchilov & Hutter 2019), in the order of torch.optim.AdamW: the decay first,
 * epsilon outside the root of the bias-corrected second moment.
 *
 *   p <- p - lr wd p;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
 *   p <- p - (lr / c1) m / (sqrt(v) / sqrt(c2) + epsilon),   c1 = 1 - b1^t,  c2 = 1 - b2^t
 */
import { f32x4 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { emitElementwise } from './elementwise.js';
import type { KernelContext, KernelHost } from './host.js';

/** Offsets in bytes to `count` elements each. */
export interface AdamWArguments {
  readonly parameter: number;
  readonly gradient: number;
  readonly firstMoment: number;
  readonly secondMoment: number;
  /** Where the new values go; default: in place. */
  readonly newParameter?: number;
  readonly newFirstMoment?: number;
  readonly newSecondMoment?: number;
  readonly count: number;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** 1 - beta1^t, with t = 1 in the first step. */
  readonly correction1: number;
  /** 1 - beta2^t. */
  readonly correction2: number;
}

/** The optimiser step. */
export interface AdamWKernels {
  adamwStep(operands: AdamWArguments): void;
}

type Four = readonly [Local<'v128'>, Local<'v128'>, Local<'v128'>, Local<'v128'>];
type Factors = readonly [...Four, ...Four];

/** Emits the update. */
export function emitAdamW(context: KernelContext): void {
  emitElementwise(context, {
    name: 'adamwStep',
    inputs: 4,
    outputs: 3,
    scalars: 8,
    unroll: 'long',
    prepare: (f, { multiplyAdd, negativeMultiplyAdd }, factors) => {
      const [decay, beta1, rest1, beta2, rest2, stepSize, rootCorrection, epsilon] = factors as unknown as Factors;
      return (values) => {
        const [parameter, gradient, first, second] = values as unknown as Four;
        const m = f.let('m', multiplyAdd(first, beta1, f32x4.mul(gradient, rest1)));
        const v = f.let('v', multiplyAdd(second, beta2, f32x4.mul(f32x4.mul(gradient, gradient), rest2)));
        const denominator = multiplyAdd(f32x4.sqrt(v), rootCorrection, epsilon);
        const decayed = negativeMultiplyAdd(parameter, decay, parameter);
        return [negativeMultiplyAdd(stepSize, f32x4.div(m, denominator), decayed), m, v];
      };
    },
  });
}

/** Binds the update. */
export function bindAdamW(host: KernelHost): AdamWKernels {
  const run = host.kernel('adamwStep');
  return {
    adamwStep(operands) {
      const { parameter, gradient, firstMoment, secondMoment, count } = operands;
      const { newParameter = parameter, newFirstMoment = firstMoment, newSecondMoment = secondMoment } = operands;
      const outputs = { newParameter, newFirstMoment, newSecondMoment };
      for (const [name, pointer] of Object.entries({ parameter, gradient, firstMoment, secondMoment, ...outputs })) {
        host.checkRange(`adamwStep ${name}`, pointer, count);
      }
      const { learningRate, beta1, beta2, epsilon, weightDecay, correction1, correction2 } = operands;
      // The factor 1 - lr wd, rounded, would shrink parameters a little too much or too little in every step alike.
      const decay = learningRate * weightDecay;
      const stepSize = learningRate / correction1;
      const rootCorrection = 1 / Math.sqrt(correction2);
      const factors = [decay, beta1, 1 - beta1, beta2, 1 - beta2, stepSize, rootCorrection, epsilon];
      const pointers = [newParameter, newFirstMoment, newSecondMoment, parameter, gradient, firstMoment, secondMoment];
      run(...pointers, ...factors, count);
    },
  };
}
