export { createKernels, emitKernelModule } from './kernels.js';
export type { KernelOptions, Kernels } from './kernels.js';
export type { MatmulArguments, MatmulKernels } from './matmul/matmul.js';
export { probeTier, supportsTier } from './tier.js';
export type { Tier } from './tier.js';
