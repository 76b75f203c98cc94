// Values, graph and devices.
export type { DType, HostArray } from './dtype.js';
export { byteSizeOf, encoderOf, hostView, isFloat } from './dtype.js';
export { GradientError, ShapeError, TensorStateError } from './errors.js';
export { type Shape, broadcastStrides, formatShape, sameShape, sizeOf, stridesOf } from './shape.js';
export { type GraphNode, Tensor, type TensorLike, type TensorSpec, placeholder, tensor } from './tensor.js';
export type { Guard, GuardCall, HostTensor, Op, Overwrite, ReferenceCall, VjpCall } from './op.js';
export { apply, applyOne, full } from './op.js';
export {
  type Device,
  type DeviceBuffer,
  type DeviceLimits,
  type Executable,
  type MemoryReport,
  defaultDevice,
  setDefaultDevice,
} from './device.js';
export { type ReferenceOptions, createReferenceDevice } from './reference/device.js';
export { type Tree, flatten, flattenWithPaths, mapTree, unflatten } from './tree.js';

// Execution and differentiation.
export { type EvaluateOptions, evaluate } from './plan/evaluate.js';
export { receive } from './plan/receive.js';
export { upload } from './plan/upload.js';
export { type CompileOptions, type CompiledFunction, compile } from './plan/compile.js';
export type { Donation } from './plan/donate.js';
export { type Plan, type PlanPasses, buildPlan, noPasses } from './plan/plan.js';
export type { PlanStep, Program } from './plan/program.js';
export { type ArenaLayout, type Slot, layOutArena } from './plan/arena.js';
export type { Place } from './plan/places.js';
export { explainExpression } from './fuse/explain.js';
export { attributed, checkGuard } from './plan/check-guard.js';
export type { PlanGuard, Shard } from './plan/lower.js';
export { type Lifetimes, type Storage, byteLengthOf, lifetimesOf, storageOf } from './plan/storage.js';
export { shardBoundaries } from './plan/shards.js';
export { flopsOf, formatBytes, trafficOf } from './plan/explain.js';
export { type MemoryBudget, setMemoryBudget } from './plan/budget.js';
export { type AllocationSite, allocationSites } from './plan/roots.js';
export { attributesKey, specKey } from './graph/key.js';
export { trackOrigins } from './graph/origin.js';
export { checkpoint, customGrad, grad, valueAndGrad } from './autograd/grad.js';
export { type JacobianOptions, vectorJacobianProduct } from './autograd/gradients.js';

// Fused expressions: what a backend makes code from.
export {
  type ApplyNode,
  type ExpressionNode,
  type ExpressionReduction,
  type ExpressionSection,
  type FusedExpression,
  type ReductionKind,
  reducedSpace,
  sectionsOf,
} from './fuse/expression.js';
export { fusedExpressionOp } from './fuse/expression-op.js';
export { expressionKey } from './fuse/key.js';
export { type Loop, type LoopNest, loopNest } from './fuse/loop-nest.js';
export { scalarOps } from './fuse/scalar-ops.js';

// Primitives.
export { opTable } from './ops/table.js';
export { abs } from './ops/abs.js';
export { add } from './ops/add.js';
export { argmax } from './ops/argmax.js';
export { barrier } from './ops/barrier.js';
export { bitcast } from './ops/bitcast.js';
export { broadcastTo } from './ops/broadcast-to.js';
export { cast } from './ops/cast.js';
export { equal, greater, greaterEqual, less, lessEqual } from './ops/compare.js';
export { concat } from './ops/concat.js';
export { cos } from './ops/cos.js';
export { cumulativeSum } from './ops/cumulative-sum.js';
export { div } from './ops/div.js';
export { erf } from './ops/erf.js';
export { exp } from './ops/exp.js';
export { floor } from './ops/floor.js';
export { gather } from './ops/gather.js';
export { arange } from './ops/iota.js';
export { log } from './ops/log.js';
export { logicalAnd, logicalNot, logicalOr } from './ops/logical.js';
export { type MatmulAttributes, type MatmulSizes, matmul, matmulSizes } from './ops/matmul.js';
export { max } from './ops/max.js';
export { maximum } from './ops/maximum.js';
export { minimum } from './ops/minimum.js';
export { mul } from './ops/mul.js';
export { neg } from './ops/neg.js';
export { pad } from './ops/pad.js';
export { permute, transpose } from './ops/permute.js';
export { randomBits, randomUniform } from './ops/random-bits.js';
export { reshape } from './ops/reshape.js';
export { rsqrt } from './ops/rsqrt.js';
export { scatterAdd } from './ops/scatter-add.js';
export { select } from './ops/select.js';
export { sigmoid } from './ops/sigmoid.js';
export { sin } from './ops/sin.js';
export { slice, split } from './ops/slice.js';
export { sqrt } from './ops/sqrt.js';
export { stopGradient } from './ops/stop-gradient.js';
export { sub } from './ops/sub.js';
export { mean, sum } from './ops/sum.js';
export { tanh } from './ops/tanh.js';
export { updateSlice } from './ops/update-slice.js';

// Fused ops.
export { type AdamWAttributes, adamwStep } from './fused/adamw-step.js';
export { type AttentionAttributes, type AttentionOptions, attention, attentionWeights } from './fused/attention.js';
export { dropout } from './fused/dropout.js';
export { geluTanh } from './fused/gelu-tanh.js';
export { gelu } from './fused/gelu.js';
export { layerNorm } from './fused/layer-norm.js';
export { embedding } from './fused/embedding.js';
export { linear } from './fused/linear.js';
export {
  type LinearCrossEntropy,
  type LinearCrossEntropyAttributes,
  type LinearCrossEntropyBackwardAttributes,
  type LinearCrossEntropyOptions,
  linearCrossEntropy,
  separateBackward,
  separateHead,
} from './fused/linear-cross-entropy.js';
export { linearTransposed } from './fused/linear-transposed.js';
export { rmsNorm } from './fused/rms-norm.js';
export { rope } from './fused/rope.js';
export { ignoredLabel, softmaxCrossEntropy } from './fused/softmax-cross-entropy.js';
export { softmax } from './fused/softmax.js';
export { silu, swiglu } from './fused/swiglu.js';

// Pictures of u32 pixels.
export { packPixels } from './image/pack-pixels.js';
export { type PatchSizes, type PlaneShape, cutPatches, lookUpSamples } from './image/patch-loops.js';
export { patchifyImage } from './image/patchify-image.js';
export { type ByteLines, resampleBytes } from './image/resample-bytes.js';
export { type ResampleImageOptions, resampleImage, resamplePixels } from './image/resample-pixels.js';
export {
  type PixelArithmetic,
  type ResampleTaps,
  type TapTensors,
  bicubicTapTensors,
  bicubicTaps,
} from './image/taps.js';

// Functions without an op of their own.
export { expandDims, squeeze, stack } from './functions/axes.js';
export { clamp } from './functions/clamp.js';
export { entropy } from './functions/entropy.js';
export { type InterpolationTaps, bilinearTaps, interpolateRows } from './functions/interpolate-rows.js';
export { logSoftmax, logSumExp } from './functions/log-sum-exp.js';
export { oneHot } from './functions/one-hot.js';
export { pow } from './functions/pow.js';
export { all, any, min } from './functions/reductions.js';
export { indexAdd, indexCopy, inversePermutation, maskedScatter, permuteRowGroups } from './functions/rows.js';
export { square } from './functions/square.js';
export { tokenLogProbabilities } from './functions/token-log-probabilities.js';
export { type VarianceOptions, standardDeviation, variance } from './functions/variance.js';

// Sampling.
export { randomExponential, randomGumbel, sampleCategorical } from './sampling/gumbel.js';
export { massThreshold } from './sampling/mass-threshold.js';
export { multiHot } from './sampling/multi-hot.js';
export {
  applyRepetitionPenalty,
  applyTemperature,
  keepMinP,
  keepTopK,
  keepTopP,
  suppressTokens,
} from './sampling/processors.js';
export { type SamplingOptions, processLogits, sampleTokens } from './sampling/sample-tokens.js';
export { markSeen } from './sampling/seen.js';

// Masks.
export type { Mask, RoleTable } from './mask/mask.js';
export * as mask from './mask/mask.js';
export { type MaskExpression, splitMask } from './mask/expression.js';
export { maskTensor } from './mask/mask-tensor.js';
export { type MaskNumberReader, type MaskPredicate, maskPredicate, readMaskNumber } from './mask/predicate.js';
export { type MaskLoad, type MaskNumber, type MaskProgram, type MaskRelation, maskProgram } from './mask/program.js';
export { type MaskTile, type MaskTileMap, type TileMapSizes, maskTile, maskTileMap } from './mask/tile-map.js';

// Optimisers.
export type { Hyperparameters, Optimizer } from './optim/optimizer.js';
export { type AdamWOptions, type AdamWState, adamW, adamWDefaults } from './optim/adamw.js';
export { type SgdOptions, type SgdState, sgd } from './optim/sgd.js';
export { type LearningRateAdjustment, type MuonOptions, type MuonState, muon } from './optim/muon.js';
export { type NewtonSchulzOptions, newtonSchulzDefaults, orthogonalize } from './optim/newton-schulz.js';
export {
  type GroupedState,
  type ParameterGroup,
  type ParameterPredicate,
  parameterGroups,
  takesWeightDecay,
  weightDecayGroups,
} from './optim/parameter-groups.js';
export { clipByGlobalNorm, globalNorm, requireFiniteNorm, skipNonFinite } from './optim/clip.js';
export { type AccumulatedGradients, accumulateGradients, accumulationInit, meanGradients } from './optim/accumulate.js';
export { averageDecay, averageInit, exponentialMovingAverage } from './optim/moving-average.js';
export {
  type Schedule,
  type ScheduleName,
  type ScheduleOptions,
  createSchedule,
  scheduleNames,
  warmupStepsFromRatio,
} from './optim/schedule.js';

// Randomness.
export { type Seed, fillNormal, fillRandomBits, fillUniform, philox4x32 } from './random/philox.js';
export { RandomStream, type RandomStreamState } from './random/random-stream.js';
export { seedFromNumber, seedFromString } from './random/seed.js';

// Low precision: quantised weights, policies, half formats.
export {
  type QuantizationBits,
  type QuantizationFormat,
  type QuantizationGroupSize,
  codesPerWord,
  groupsPerRow,
  largestCode,
  symmetricZero,
  wordsPerRow,
} from './quantize/format.js';
export { packCodes, unpackCodes } from './quantize/pack.js';
export {
  type QuantizedTensor,
  type Weight,
  checkQuantized,
  isQuantized,
  sliceRows,
  weightBytes,
  weightShape,
} from './quantize/quantized-tensor.js';
export { type QuantizeOptions, type ScaleDType, quantize } from './quantize/quantize.js';
export { dequantize } from './quantize/dequantize.js';
export {
  type QuantizedLinearAttributes,
  quantizedLinear,
  quantizedLinearTransposed,
} from './quantize/quantized-linear.js';
export {
  type PrecisionPolicy,
  type PrecisionPolicyOptions,
  type WeightChoice,
  type WeightPrecision,
  precisionPolicy,
} from './precision/policy.js';
export { type StoredTree, masterWeights, shadow, storeWeights } from './precision/weights.js';
export {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  narrowToBf16,
  narrowToF16,
  widenBf16,
  widenF16,
} from './numeric/half.js';
export { errorFunction } from './numeric/erf.js';

// State dicts.
export * from './safetensors/index.js';
