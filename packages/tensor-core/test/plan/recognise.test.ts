import { describe, expect, it } from 'vitest';
import {
  type Device,
  type Tensor,
  add,
  attention,
  compile,
  createReferenceDevice,
  div,
  erf,
  evaluate,
  exp,
  gelu,
  linear,
  matmul,
  max,
  mean,
  mul,
  rmsNorm,
  rsqrt,
  sigmoid,
  softmax,
  sub,
  sum,
  swiglu,
} from '../../src/index.js';
import { type HostTensor, assertClose, readBack, seededValue, toTensor } from '../../src/testing/index.js';

const device = createReferenceDevice({ passes: {} });
const value = (shape: readonly number[], seed = 1): HostTensor => seededValue(shape, 'f32', 'ordinary', seed);
const x = value([3, 5]);
const w = value([5], 2);

interface Case {
  readonly written: (...inputs: Tensor[]) => Tensor;
  readonly fused: (...inputs: Tensor[]) => Tensor;
  readonly inputs: readonly HostTensor[];
  readonly steps: readonly string[];
}

const heads = (seed: number): HostTensor => value([2, 2, 4, 6], seed);
const plainSoftmax = (given: Tensor): Tensor => {
  const shifted = exp(sub(given, max(given, -1, true)));
  return div(shifted, sum(shifted, -1, true));
};

const cases: Readonly<Record<string, Case>> = {
  softmax: { written: plainSoftmax, fused: softmax, inputs: [x], steps: ['softmax'] },
  'softmax without a shift': {
    written: (a) => div(exp(a), sum(exp(a), -1, true)),
    fused: softmax,
    inputs: [x],
    steps: ['softmax'],
  },
  rmsNorm: {
    written: (a, b) => mul(b, mul(rsqrt(add(1e-3, mean(mul(a, a), -1, true))), a)),
    fused: (a, b) => rmsNorm(a, b, 1e-3),
    inputs: [x, w],
    steps: ['rmsNorm'],
  },
  gelu: {
    written: (a) => mul(add(1, erf(mul(a, Math.SQRT1_2))), mul(0.5, a)),
    fused: gelu,
    inputs: [x],
    steps: ['gelu'],
  },
  swiglu: {
    written: (a, b) => mul(b, mul(sigmoid(a), a)),
    fused: swiglu,
    inputs: [x, value([3, 5], 3)],
    steps: ['swiglu'],
  },
  linear: {
    written: (a, b, c) => add(c, matmul(a, b, { transposeB: true })),
    fused: linear,
    inputs: [x, value([4, 5], 4), value([4], 5)],
    steps: ['linear'],
  },
  attention: {
    written: (q, k, v) => matmul(plainSoftmax(mul(matmul(q, k, { transposeB: true }), 0.3)), v),
    fused: (q, k, v) => attention(q, k, v, { scale: 0.3 }),
    inputs: [heads(6), heads(7), heads(8)],
    steps: ['attention'],
  },
};

const stepsOf = (fn: (...inputs: Tensor[]) => unknown, inputs: readonly HostTensor[], on: Device = device): string[] =>
  compile(fn, { device: on })
    .plan(...inputs.map(toTensor))
    .steps.map(({ op }) => op.name);

describe('recognition of fused ops', () => {
  it.each(Object.entries(cases))('finds %s written in primitives', async (_name, { written, fused, inputs, steps }) => {
    expect(stepsOf(written, inputs)).toEqual(steps);
    const [actual, expected] = [written(...inputs.map(toTensor)), fused(...inputs.map(toTensor))];
    await evaluate([actual], { device });
    await evaluate([expected], { device: createReferenceDevice() });
    assertClose(await readBack(actual), await readBack(expected), 'recognised');
  });

  it('leaves a value alone that something else reads', () => {
    const both = (a: Tensor): Tensor[] => {
      const shifted = exp(sub(a, max(a, -1, true)));
      return [div(shifted, sum(shifted, -1, true)), shifted];
    };
    expect(stepsOf(both, [x])).not.toContain('softmax');
  });

  it('leaves what only looks alike alone', () => {
    const off = (a: Tensor, b: Tensor): Tensor => mul(mul(a, rsqrt(add(mean(mul(a, a), -1, true), 1e-3))), add(b, 1));
    expect(stepsOf(off, [x, w])).toContain('rmsNorm');
    const wrongAxis = (a: Tensor): Tensor => div(exp(a), sum(exp(a), 0, true));
    expect(stepsOf(wrongAxis, [x])).not.toContain('softmax');
    const otherFactor = (a: Tensor): Tensor => mul(mul(a, 0.5), add(erf(mul(a, 0.7)), 1));
    expect(stepsOf(otherFactor, [x])).not.toContain('gelu');
  });

  it('runs the primitives where the device has no fused op', () => {
    const poor: Device = {
      ...device,
      supports: (op, ...rest) => op.name !== 'softmax' && device.supports(op, ...rest),
    };
    expect(stepsOf(plainSoftmax, [x], poor)).not.toContain('softmax');
  });
});
