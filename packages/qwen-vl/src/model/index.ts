export type { LinearHook, ModelContext, RowRun, TokenRows, Weights } from './context.js';
export {
  type EmbeddingOverride,
  type KeyValueCache,
  type LanguageInputs,
  type LanguageOutputs,
  embedTokens,
  headForward,
  languageForward,
} from './language.js';
export {
  canonicalName,
  languageLinearNames,
  nameLayout,
  type NameLayout,
  parameterShapes,
  type ParameterShapes,
} from './parameters.js';
export { type GenerateRequest, type Prompt, type PromptsRequest, Qwen2_5_VL, imagePatches } from './qwen2-5-vl.js';
export {
  type GridThw,
  type RopeCompat,
  type RopeIndex,
  type VideoTiming,
  ropeCompats,
  ropeIndex,
} from './rope-index.js';
export { type SequenceOperands, type SequenceRow, rowPositions, sequenceOperands, visualTokens } from './sequence.js';
export { type VisionOperands, type VisionOutputs, visionForward, visionOperands } from './vision.js';
export {
  type VisionBatch,
  type VisionBatches,
  type VisionBatchOptions,
  type VisionItem,
  visionBatches,
} from './vision-batches.js';
export { type VisionLayout, visionLayout } from './window-index.js';
export { type GeneratedSequence, collectSequences } from '../generate/collect.js';
export { type Decoder, type DecoderRequest, createDecoder } from '../generate/decode.js';
export {
  type FeedbackInputs,
  type FeedbackOutputs,
  type FeedbackRule,
  type FixedFeedback,
  fixedFeedback,
} from '../generate/feedback.js';
export { type CacheDType, cacheCapacity, keyValueCacheBytes } from '../generate/key-value-cache.js';
export { PromptCache } from '../generate/prompt-cache.js';
export {
  type DecodeRequest,
  type DecodedStep,
  type GenerateOptions,
  type RoleMask,
  endedId,
} from '../generate/request.js';
export { type SamplingSettings, samplingOf } from '../generate/sampling.js';
export { initializeWeights } from '../load/initialize-weights.js';
export type { StoredFormat } from '../load/formats/format.js';
export { CheckpointError, type LoadReport, type MismatchedTensor, type StoredTensor } from '../load/load-report.js';
export { type LoadOptions, loadWeights } from '../load/load-weights.js';
export { type InspectOptions, inspectCheckpoint } from '../load/plan-checkpoint.js';
export { shapesOf } from '../load/stored-modules.js';
