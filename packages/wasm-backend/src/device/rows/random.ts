/** Random bits and dropout. */
import { sizeOf } from '@mindseye/tensor-core';
import type { Kernels } from '../../kernels/index.js';
import type { KernelOperand, KernelRow, KernelRows } from '../kernel-row.js';

interface StreamAttributes {
  readonly stream: number;
}

/** The two words of a seed operand. */
function seedAt({ memory }: Kernels, { pointer }: KernelOperand): readonly [number, number] {
  const [low, high] = new Uint32Array(memory.buffer, pointer, 2);
  return [low!, high!];
}

const randomBits: KernelRow<StreamAttributes> = {
  scratchBytes: ({ kernels }) => kernels.randomScratchBytes,
  run({ kernels, inputs: [seed], outputs: [y], attributes: { stream }, scratch }) {
    const working = scratch(kernels.randomScratchBytes);
    kernels.randomWords({
      out: y!.pointer,
      count: sizeOf(y!.shape),
      seed: seedAt(kernels, seed!),
      stream,
      scratch: working,
    });
  },
};

const dropout: KernelRow<StreamAttributes & { readonly probability: number }> = {
  scratchBytes: ({ kernels }) => kernels.randomScratchBytes,
  run({ kernels, inputs: [x, seed], outputs: [y], attributes: { stream, probability }, scratch }) {
    const working = scratch(kernels.randomScratchBytes);
    kernels.dropout({
      x: x!.pointer,
      y: y!.pointer,
      count: sizeOf(x!.shape),
      probability,
      seed: seedAt(kernels, seed!),
      stream,
      scratch: working,
    });
  },
};

export const randomRows: KernelRows = { randomBits: randomBits as KernelRow, dropout: dropout as KernelRow };
