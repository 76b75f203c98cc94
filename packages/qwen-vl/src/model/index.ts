export type { LinearHook, ModelContext, TokenRows, Weights } from './context.js';
export {
  type EmbeddingOverride,
  type KeyValueCache,
  type LanguageInputs,
  type LanguageOutputs,
  embedTokens,
  headForward,
  languageForward,
} from './language.js';
export { canonicalName, languageLinearNames, parameterShapes, type ParameterShapes } from './parameters.js';
export { type ImageGenerateRequest, type ImagePatches, Qwen2_5_VL, imagePatches } from './qwen2-5-vl.js';
export { type GridThw, type RopeIndex, ropeIndex } from './rope-index.js';
export { type SequenceOperands, type SequenceRow, sequenceOperands, visualTokens } from './sequence.js';
export { type VisionOperands, type VisionOutputs, visionForward, visionOperands } from './vision.js';
export { type VisionLayout, visionLayout } from './window-index.js';
export {
  type GenerateOptions,
  type GenerateRequest,
  type Generator,
  type RoleMask,
  createGenerator,
} from '../generate/generate.js';
export { initializeWeights } from '../load/initialize-weights.js';
export { type LoadOptions, type LoadReport, loadWeights } from '../load/load-weights.js';
