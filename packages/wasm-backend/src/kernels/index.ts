export type { ActivationKernels, SwigluBackwardArguments } from './activation.js';
export type { AdamWArguments, AdamWKernels } from './adamw.js';
export type { ArgmaxKernels, OrderedType } from './argmax.js';
export { arrangeTaps, arrangedTapsBytes } from './arranged-taps.js';
export type { ArrangedTaps } from './arranged-taps.js';
export { TABLE_WORD_BITS, TILE_KEYS, TILE_QUERIES } from './attention.js';
export type {
  AttentionArguments,
  AttentionBackwardArguments,
  AttentionDirection,
  AttentionKernels,
  AttentionMask,
  AttentionSizes,
  MaskComparison,
  MaskInstruction,
  MaskSide,
  MaskSizes,
} from './attention.js';
export type { ConstantKernels, CountedType } from './constants.js';
export type { CrossEntropyArguments, CrossEntropyBackwardArguments, CrossEntropyKernels } from './cross-entropy.js';
export type { CodeBits, DequantizeArguments, DequantizeKernels } from './dequantize.js';
export type { BinaryKernel, ElementwiseKernels, UnaryKernel } from './elementwise.js';
export type { GatherArguments, GatherKernels } from './gather.js';
export type { HalfKernels, HalfName } from './half.js';
export { emitFamily, familyNames } from './families.js';
export type { FamilyName } from './families.js';
export { createKernels } from './kernels.js';
export type { KernelOptions, Kernels } from './kernels.js';
export type { ProductActivation } from './matmul/epilogue.js';
export { mostFewRows } from './matmul/few-rows.js';
export type { MatmulArguments, MatmulKernels, RightOperand } from './matmul/matmul.js';
export { QUANTIZED_RUN, fixedBytes } from './matmul/quantized-row-products.js';
export type {
  FixRowsArguments,
  QuantizedMatrix,
  QuantizedRowProductArguments,
  QuantizedRowProductKernels,
} from './matmul/quantized-row-products.js';
export { mostProductRows } from './matmul/row-products.js';
export type { RowProductArguments, RowProductKernels, StoredMatrix } from './matmul/row-products.js';
export type { CopyRunsArguments, ElementBytes, MoveKernels, MoveLoop, TransposeArguments } from './moves.js';
export type { LayerNormArguments, LayerNormBackwardArguments, LayerNormKernels } from './layer-norm.js';
export type { NormKernels, RmsNormArguments, RmsNormBackwardArguments } from './norm.js';
export type { PatchArguments, PatchKernels } from './patches.js';
export type { DropoutArguments, RandomKernels, RandomWordsArguments } from './random.js';
export type { ResampleArguments, ResampleKernels } from './resample.js';
export type { RowVectorKernels } from './row-vector.js';
export type { RopeArguments, RopeKernels } from './rope.js';
export type { AddedType, ScatterArguments, ScatterKernels } from './scatter.js';
export type { SoftmaxKernels } from './softmax.js';
export { probeTier, supportsTier } from './tier.js';
export type { Tier } from './tier.js';
