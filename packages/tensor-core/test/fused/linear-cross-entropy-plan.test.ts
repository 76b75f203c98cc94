/** What the streamed head of a 3B model holds beside its inputs, by the plan: nothing is allocated and nothing runs. */
import { describe, expect, it } from 'vitest';
import {
  type Device,
  type QuantizedTensor,
  type Tensor,
  compile,
  linearCrossEntropy,
  mean,
  valueAndGrad,
} from '../../src/index.js';
import { placeholder } from '../../src/tensor.js';

const [rows, width, classes] = [1024, 2048, 151_936];
const mebibyte = 2 ** 20;

/** An engine without one fused kernel that can only plan. */
const planner = (bindingBytes: number): Device => {
  const refuse = (): never => {
    throw new Error('this device only plans');
  };
  return {
    name: 'planner',
    limits: { bindingBytes },
    supports: (op) => op.decompose === undefined,
    upload: refuse,
    read: refuse,
    release: refuse,
    lower: () => ({ workingBytes: 0, run: refuse }),
    memory: () => ({ rootBytes: 0, arenaBytes: 0, peakBytes: 0 }),
  };
};

const quantized: QuantizedTensor = {
  codes: placeholder({ shape: [classes, width / 8], dtype: 'u32' }),
  scales: placeholder({ shape: [classes, width / 64], dtype: 'f16' }),
  bits: 4,
  groupSize: 64,
  columns: width,
};

const weights: Readonly<Record<string, Tensor | QuantizedTensor>> = {
  f32: placeholder({ shape: [classes, width], dtype: 'f32' }),
  bf16: placeholder({ shape: [classes, width], dtype: 'bf16' }),
  'four bits': quantized,
};

/** Mean loss and its gradient in the hidden states; the weight is frozen. */
const step = (bindingBytes: number) =>
  compile(
    (x: Tensor, weight: Tensor | QuantizedTensor, labels: Tensor) =>
      valueAndGrad((hidden: Tensor) => mean(linearCrossEntropy(hidden, weight, labels).loss))(x),
    { device: planner(bindingBytes) },
  );

describe('loss and gradient of 1,024 rows over 151,936 classes', () => {
  const x = placeholder({ shape: [rows, width], dtype: 'f32' });
  const labels = placeholder({ shape: [rows], dtype: 'i32' });

  it.each(
    Object.keys(weights).flatMap((storage) => [
      { storage, binding: Infinity },
      { storage, binding: 128 * mebibyte },
    ]),
  )('hold at most 64 MiB beside the inputs: $storage weight, bindings of $binding bytes', ({ storage, binding }) => {
    const plan = step(binding).plan(x, weights[storage]!, labels);
    expect(plan.arena.byteLength + plan.outputBytes).toBeLessThanOrEqual(64 * mebibyte);
  });
});
