export type { ActivationKernels, SwigluBackwardArguments } from './activation.js';
export type { AdamWArguments, AdamWKernels } from './adamw.js';
export type { AttentionArguments, AttentionBackwardArguments, AttentionKernels, AttentionSizes } from './attention.js';
export type { CrossEntropyArguments, CrossEntropyBackwardArguments, CrossEntropyKernels } from './cross-entropy.js';
export type { CodeBits, DequantizeArguments, DequantizeKernels } from './dequantize.js';
export type { BinaryKernel, ElementwiseKernels, UnaryKernel } from './elementwise.js';
export type { HalfKernels, HalfName } from './half.js';
export { createKernels, emitKernelModule } from './kernels.js';
export type { KernelOptions, Kernels } from './kernels.js';
export type { MatmulArguments, MatmulKernels } from './matmul/matmul.js';
export { QUANTIZED_RUN, arrangedBytes } from './matmul/quantized-row-products.js';
export type {
  ArrangeArguments,
  QuantizedRowProductArguments,
  QuantizedRowProductKernels,
} from './matmul/quantized-row-products.js';
export { mostProductRows } from './matmul/row-products.js';
export type { RowProductArguments, RowProductKernels, StoredMatrix } from './matmul/row-products.js';
export type { LayerNormArguments, NormKernels, RmsNormArguments, RmsNormBackwardArguments } from './norm.js';
export type { DropoutArguments, RandomKernels, RandomWordsArguments } from './random.js';
export type { RowVectorKernels } from './row-vector.js';
export type { RopeArguments, RopeKernels } from './rope.js';
export type { SoftmaxKernels } from './softmax.js';
export { probeTier, supportsTier } from './tier.js';
export type { Tier } from './tier.js';
