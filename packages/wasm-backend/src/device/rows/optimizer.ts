/** The AdamW update. */
import { type AdamWAttributes, sizeOf } from '@mindseye/tensor-core';
import type { KernelRow, KernelRows } from '../kernel-row.js';

const adamwStep: KernelRow<AdamWAttributes> = {
  run({ kernels, inputs: [parameter, gradient, first, second, rates], outputs: [p, m, v], attributes }) {
    const [learningRate, correction1, correction2] = new Float32Array(kernels.memory.buffer, rates!.pointer, 3);
    kernels.adamwStep({
      parameter: parameter!.pointer,
      gradient: gradient!.pointer,
      firstMoment: first!.pointer,
      secondMoment: second!.pointer,
      newParameter: p!.pointer,
      newFirstMoment: m!.pointer,
      newSecondMoment: v!.pointer,
      count: sizeOf(p!.shape),
      learningRate: learningRate!,
      correction1: correction1!,
      correction2: correction2!,
      ...attributes,
    });
  },
};

export const optimizerRows: KernelRows = { adamwStep: adamwStep as KernelRow };
