/** Every op, by name: what the property tests walk through and the supported-op table is made from. */
import { fusedExpressionOp } from '../fuse/expression-op.js';
import { adamwStepOp } from '../fused/adamw-step.js';
import { attentionPair } from '../fused/attention.js';
import { dropoutOp } from '../fused/dropout.js';
import { geluTanhPair } from '../fused/gelu-tanh.js';
import { scalarOps } from '../fuse/scalar-ops.js';
import { geluPair } from '../fused/gelu.js';
import { layerNormPair } from '../fused/layer-norm.js';
import { linearOp } from '../fused/linear.js';
import { linearCrossEntropyBackwardOp, linearCrossEntropyOp } from '../fused/linear-cross-entropy.js';
import { linearTransposedOp } from '../fused/linear-transposed.js';
import { rmsNormPair } from '../fused/rms-norm.js';
import { ropeOp } from '../fused/rope.js';
import { softmaxCrossEntropyPair } from '../fused/softmax-cross-entropy.js';
import { softmaxPair } from '../fused/softmax.js';
import { swigluPair } from '../fused/swiglu.js';
import { patchifyImageOp } from '../image/patchify-image.js';
import { resamplePixelsOp } from '../image/resample-pixels.js';
import { type Op, fullOp } from '../op.js';
import { dequantizeOp } from '../quantize/dequantize.js';
import { quantizedLinearOp } from '../quantize/quantized-linear.js';
import { massThresholdOp } from '../sampling/mass-threshold.js';
import { multiHotOp } from '../sampling/multi-hot.js';
import { argmaxOp } from './argmax.js';
import { barrierOp } from './barrier.js';
import { broadcastToOp } from './broadcast-to.js';
import { concatOp } from './concat.js';
import { cumulativeSumOp } from './cumulative-sum.js';
import { gatherOp } from './gather.js';
import { iotaOp } from './iota.js';
import { matmulOp } from './matmul.js';
import { maxOp } from './max.js';
import { padOp } from './pad.js';
import { permuteOp } from './permute.js';
import { randomBitsOp } from './random-bits.js';
import { reshapeOp } from './reshape.js';
import { scatterAddOp } from './scatter-add.js';
import { sliceOp } from './slice.js';
import { stopGradientOp } from './stop-gradient.js';
import { sumOp } from './sum.js';
import { updateSliceOp } from './update-slice.js';

const primitives: readonly Op[] = [
  fullOp,
  iotaOp,
  randomBitsOp,
  ...scalarOps().values(),
  stopGradientOp,
  barrierOp,
  reshapeOp,
  permuteOp,
  broadcastToOp,
  sliceOp,
  padOp,
  concatOp,
  updateSliceOp,
  gatherOp,
  scatterAddOp,
  sumOp,
  maxOp,
  argmaxOp,
  matmulOp,
];

const pairs = [
  attentionPair,
  geluPair,
  geluTanhPair,
  layerNormPair,
  rmsNormPair,
  softmaxPair,
  softmaxCrossEntropyPair,
  swigluPair,
];

const fused: readonly Op[] = [
  linearOp,
  linearTransposedOp,
  dequantizeOp as Op,
  quantizedLinearOp as Op,
  linearCrossEntropyOp as Op,
  linearCrossEntropyBackwardOp as Op,
  ropeOp,
  dropoutOp,
  adamwStepOp,
  cumulativeSumOp,
  massThresholdOp,
  multiHotOp,
  resamplePixelsOp as Op,
  patchifyImageOp as Op,
  fusedExpressionOp as Op,
  ...pairs.flatMap(({ forward, backward }): Op[] => [forward as Op, backward as Op]),
];

export const opTable: ReadonlyMap<string, Op> = new Map([...primitives, ...fused].map((op) => [op.name, op]));
