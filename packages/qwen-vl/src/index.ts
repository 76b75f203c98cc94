/** Qwen2.5-VL from Hugging Face checkpoints. Everything here runs in Node and in browsers; files are in `node.ts`. */
export {
  ConfigError,
  ConversationError,
  ImageError,
  InvalidInputError,
  ModelFolderError,
  TokenizerError,
} from './errors.js';

export { resolveGenerationConfig, toHuggingFaceGenerationConfig } from './config/generation-config.js';
export { languageParameterCount, parameterCount, visionParameterCount } from './config/parameter-count.js';
export { checkPreprocessorFitsModel, resolvePreprocessorConfig } from './config/preprocessor-config.js';
export {
  presets,
  publishedPreprocessorConfig,
  TINY_BPE_VOCABULARY_SIZE,
  tinyConfig,
  tinyPreprocessorConfig,
} from './config/presets.js';
export { resolveConfig, SUPPORTED_MODEL_TYPES } from './config/resolve-config.js';
export { toHuggingFaceConfig, toHuggingFacePreprocessorConfig } from './config/serialize-config.js';
export type {
  GenerationConfig,
  JsonObject,
  JsonValue,
  MultimodalTokenIds,
  PreprocessorConfig,
  Qwen2_5_VLConfig,
  Qwen2_5_VLTextConfig,
  Qwen2_5_VLVisionConfig,
} from './config/types.js';

export {
  toOriginalPoint,
  toResizedPoint,
  visualTokenBox,
  type Box,
  type ImageGeometry,
  type Point,
} from './processor/coordinates.js';
export { decodeImageInBrowser } from './processor/decode-browser.js';
export { DEFAULT_MAX_PIXELS, type DecodeImageOptions } from './processor/decode-options.js';
export { readImageHeader, type ImageFormat, type ImageHeader } from './processor/image-header.js';
export { ImageProcessor, type PixelBudget, type ProcessedImages } from './processor/image-processor.js';
export { patchify, rescaleAndNormalize, type GridThw, type Patches } from './processor/patchify.js';
export {
  Processor,
  TOKEN_TYPES,
  visualQuestion,
  type ProcessedConversation,
  type ProcessOptions,
  type TokenSpan,
} from './processor/processor.js';
export { toRgb, type RasterImage, type RgbImage } from './processor/raster.js';
export { resizeBicubic } from './processor/resize-bicubic.js';
export { smartResize, type Size, type SmartResizeOptions } from './processor/smart-resize.js';

export {
  ChatTemplate,
  MESSAGE_ROLES,
  type ChatTemplateSources,
  type ContentPart,
  type Message,
  type MessageRole,
  type RenderOptions,
} from './tokenizer/chat-template.js';
export { DEFAULT_CHAT_TEMPLATE } from './tokenizer/default-chat-template.js';
export { QWEN2_5_ADDED_TOKENS } from './tokenizer/special-tokens.js';
export { type AddedToken } from './tokenizer/tokenizer-json.js';
export { Tokenizer, type DecodeOptions, type EncodeOptions } from './tokenizer/tokenizer.js';
export { trainByteLevelBpe, type TrainedTokenizer } from './tokenizer/train-bpe.js';

export * from './model/index.js';
