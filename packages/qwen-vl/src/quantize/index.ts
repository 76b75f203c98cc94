/** Quantised checkpoints: from dense ones, and how much that costs. */
export { type TokenComparison } from './compare-logits.js';
export {
  type EvaluateQuantizationOptions,
  type EvaluationSample,
  type ModelQuality,
  type QuantizationEvaluation,
  type QuantizationQuality,
  evaluateQuantization,
} from './evaluate-quantization.js';
export {
  type QuantizationDecision,
  type QuantizationPlan,
  type QuantizationPolicy,
  planQuantization,
} from './policy.js';
export { type QuantizationName, quantizationNames } from './parts.js';
export { type QuantizeCheckpointOptions, type QuantizedCheckpoint, quantizeCheckpoint } from './quantize-checkpoint.js';
export { quantizedConfigJson, unquantizedConfig } from './quantized-config.js';
