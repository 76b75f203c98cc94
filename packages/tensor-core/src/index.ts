// Values, graph and devices.
export type { DType, HostArray } from './dtype.js';
export { byteSizeOf, hostView, isFloat } from './dtype.js';
export { GradientError, ShapeError, TensorStateError } from './errors.js';
export { type Shape, broadcastStrides, formatShape, sameShape, sizeOf, stridesOf } from './shape.js';
export { type GraphNode, Tensor, type TensorLike, type TensorSpec, tensor } from './tensor.js';
export type { HostTensor, Op, ReferenceCall, VjpCall } from './op.js';
export { apply, applyOne, full } from './op.js';
export {
  type Device,
  type DeviceBuffer,
  type Executable,
  type MemoryReport,
  defaultDevice,
  setDefaultDevice,
} from './device.js';
export { type ReferenceOptions, createReferenceDevice } from './reference/device.js';
export { type Tree, flatten, mapTree, unflatten } from './tree.js';

// Execution and differentiation.
export { evaluate } from './plan/evaluate.js';
export { type CompileOptions, type CompiledFunction, compile } from './plan/compile.js';
export type { Donation, Plan, PlanStep } from './plan/plan.js';
export type { ArenaLayout } from './plan/arena.js';
export { checkpoint, customGrad, grad, valueAndGrad } from './autograd/grad.js';
export { type JacobianOptions, vectorJacobianProduct } from './autograd/gradients.js';

// Primitives.
export { opTable } from './ops/table.js';
export { abs } from './ops/abs.js';
export { add } from './ops/add.js';
export { argmax } from './ops/argmax.js';
export { broadcastTo } from './ops/broadcast-to.js';
export { cast } from './ops/cast.js';
export { equal, greater, greaterEqual, less, lessEqual } from './ops/compare.js';
export { concat } from './ops/concat.js';
export { cos } from './ops/cos.js';
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
export { gelu } from './fused/gelu.js';
export { layerNorm } from './fused/layer-norm.js';
export { linear } from './fused/linear.js';
export { rmsNorm } from './fused/rms-norm.js';
export { rope } from './fused/rope.js';
export { ignoredLabel, softmaxCrossEntropy } from './fused/softmax-cross-entropy.js';
export { softmax } from './fused/softmax.js';
export { silu, swiglu } from './fused/swiglu.js';

// Masks.
export type { Mask, RoleTable } from './mask/mask.js';
export * as mask from './mask/mask.js';
export { type MaskExpression, type MaskPredicate, maskPredicate, maskTensor, splitMask } from './mask/expression.js';

// Optimisers.
export {
  type AdamWOptions,
  type AdamWState,
  adamwDefaults,
  adamwInit,
  adamwRates,
  adamwUpdate,
} from './optim/adamw.js';
export { clipByGlobalNorm, globalNorm } from './optim/clip.js';
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

// Low-precision storage.
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
