/** Every kernel, by the name of the op it computes. Fused ops that are not here run through their decompositions. */
import { attentionKernels } from './attention.js';
import { boxKernels } from './box.js';
import { elementwiseKernels } from './elementwise.js';
import { fusedElementwiseKernels } from './fused-elementwise.js';
import type { Kernel } from './kernel.js';
import { matmulKernels } from './matmul.js';
import { moveKernels } from './move.js';
import { randomKernels } from './random.js';
import { reduceKernels } from './reduce.js';
import { rowKernels } from './rows.js';
import { rowwiseKernels } from './rowwise.js';

const kernels: ReadonlyMap<string, Kernel> = new Map(
  Object.entries({
    ...elementwiseKernels,
    ...moveKernels,
    ...boxKernels,
    ...reduceKernels,
    ...rowKernels,
    ...matmulKernels,
    ...randomKernels,
    ...fusedElementwiseKernels,
    ...rowwiseKernels,
    ...attentionKernels,
  } as const),
);

export const kernelOf = (name: string): Kernel | undefined => kernels.get(name);

/** Names of the ops this device computes without decomposition. */
export const kernelNames: readonly string[] = [...kernels.keys()];
