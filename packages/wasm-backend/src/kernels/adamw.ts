/**
 * One AdamW update over flat f32 arrays (Loshchilov & Hutter 2019), in the order of torch.optim.AdamW: the decay first,
 * epsilon outside the root of the bias-corrected second moment.
 *
 *   p <- p - lr wd p;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
 *   p <- p - (lr / c1) m / (sqrt(v) / sqrt(c2) + epsilon),   c1 = 1 - b1^t,  c2 = 1 - b2^t
 */
import { f32x4 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachOfRow, splat } from './row-pass.js';

const UNROLL = 2;
/** Elements that are worth a part of the work of their own, and those of a cache line. */
const GRAIN = 2 ** 15;
const LINE = 16;

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

type Factors = Readonly<Record<(typeof FACTORS)[number], Local<'v128'>>>;

const FACTORS = ['decay', 'beta1', 'rest1', 'beta2', 'rest2', 'stepSize', 'rootCorrection', 'epsilon'] as const;

/** Names of the pointers in the kernel's order, for errors. */
const LABELS = [
  'parameter',
  'gradient',
  'firstMoment',
  'secondMoment',
  'newParameter',
  'newFirstMoment',
  'newSecondMoment',
].map((name) => `adamwStep ${name}`);

const PARAMETERS = {
  parameter: 'i32',
  gradient: 'i32',
  first: 'i32',
  second: 'i32',
  newParameter: 'i32',
  newFirst: 'i32',
  newSecond: 'i32',
  decay: 'f32',
  beta1: 'f32',
  rest1: 'f32',
  beta2: 'f32',
  rest2: 'f32',
  stepSize: 'f32',
  rootCorrection: 'f32',
  epsilon: 'f32',
  count: 'i32',
} as const;

/** Emits the update. */
export function emitAdamW({ module, arithmetic: { multiplyAdd, negativeMultiplyAdd } }: KernelContext): void {
  module.function({ name: 'adamwStep', parameters: PARAMETERS, result: 'void', exported: true }, (f, p) => {
    const factors = Object.fromEntries(FACTORS.map((name) => [name, splat(f, name, p[name])]));
    const { decay, beta1, rest1, beta2, rest2, stepSize, rootCorrection, epsilon } = factors as Factors;
    const cursors = [p.newParameter, p.newFirst, p.newSecond, p.parameter, p.gradient, p.first, p.second];
    forEachOfRow(f, { cursors, count: p.count, unroll: UNROLL }, (lanes) => {
      const parameter = lanes.keep('p', lanes.load(p.parameter));
      const gradient = lanes.keep('g', lanes.load(p.gradient));
      const m = lanes.keep('m', multiplyAdd(lanes.load(p.first), beta1, f32x4.mul(gradient, rest1)));
      const square = f32x4.mul(f32x4.mul(gradient, gradient), rest2);
      const v = lanes.keep('v', multiplyAdd(lanes.load(p.second), beta2, square));
      const denominator = multiplyAdd(f32x4.sqrt(v), rootCorrection, epsilon);
      const decayed = negativeMultiplyAdd(parameter, decay, parameter);
      lanes.store(p.newParameter, negativeMultiplyAdd(stepSize, f32x4.div(m, denominator), decayed));
      lanes.store(p.newFirst, m);
      lanes.store(p.newSecond, v);
    });
  });
}

/** Binds the update; it divides the elements. */
export function bindAdamW(host: KernelHost): AdamWKernels {
  const run = host.kernel('adamwStep');
  return {
    adamwStep(operands) {
      const { parameter, gradient, firstMoment, secondMoment, count } = operands;
      const { newParameter = parameter, newFirstMoment = firstMoment, newSecondMoment = secondMoment } = operands;
      const pointers = [parameter, gradient, firstMoment, secondMoment, newParameter, newFirstMoment, newSecondMoment];
      LABELS.forEach((label, i) => host.checkRange(label, pointers[i]!, count));
      const { learningRate, beta1, beta2, epsilon, weightDecay, correction1, correction2 } = operands;
      // The factor 1 - lr wd, rounded, would shrink parameters a little too much or too little in every step alike.
      const decay = learningRate * weightDecay;
      const stepSize = learningRate / correction1;
      const rootCorrection = 1 / Math.sqrt(correction2);
      const factors = [decay, beta1, 1 - beta1, beta2, 1 - beta2, stepSize, rootCorrection, epsilon];
      host.divide(run, { count, grain: GRAIN, multiple: LINE }, (from, size) => [
        ...pointers.map((pointer) => pointer + from * F32_BYTES),
        ...factors,
        size,
      ]);
    },
  };
}
