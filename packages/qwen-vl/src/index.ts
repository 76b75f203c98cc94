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
export {
  checkPreprocessorFitsModel,
  resolvePreprocessorConfig,
  resolveVideoSettings,
} from './config/preprocessor-config.js';
export {
  presets,
  publishedPreprocessorConfig,
  TINY_BPE_VOCABULARY_SIZE,
  tinyConfig,
  tinyPreprocessorConfig,
} from './config/presets.js';
export { type GroupFormat, type QuantizationConfig, resolveQuantizationConfig } from './config/quantization-config.js';
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
  TensorShapes,
} from './config/types.js';

export { byteCount } from './files/byte-count.js';
export { directoryFiles, type DirectoryHandle } from './files/directory-handle.js';
export { droppedFiles, droppedPaths } from './files/dropped-files.js';
export { type PathedFile, fileListFiles, pathedFiles, pathsOf } from './files/file-list.js';
export type { Fetch } from './files/http-byte-source.js';
export { httpFolder, type HttpFolderOptions } from './files/http-folder.js';
export { openHubModel, type BrowserHubOptions } from './files/hub/browser-hub.js';
export type { RetryPolicy } from './files/hub/download.js';
export type { HubFilesOptions, HubProgress } from './files/hub/hub-files.js';
export type { OpfsDirectory } from './files/hub/opfs-cache.js';
export { parseRepository, type HubRepository } from './files/hub/repository.js';
export { KNOWN_FILE_NAMES, MODEL_PARTS, type ModelFileName, type ModelFolderPart } from './files/known-files.js';
export { findMissing, type MissingFile, shardNames } from './files/missing-files.js';
export type { ModelFiles } from './files/model-files.js';
export { type InspectedWeights, type LoadedWeights, ModelFolder } from './files/model-folder.js';

export { type VisualKind } from './processor/check-messages.js';
export {
  boxBetween,
  toOriginalBox,
  toOriginalPoint,
  toResizedBox,
  toResizedPoint,
  visualTokenBox,
  type Box,
  type ConversionOptions,
  type ImageGeometry,
  type Point,
  type Resizing,
  type VideoGeometry,
} from './processor/coordinates.js';
export { decodeImageInBrowser } from './processor/decode-browser.js';
export { DEFAULT_MAX_PIXELS, type DecodeImageOptions } from './processor/decode-options.js';
export {
  formatGrounding,
  parseGrounding,
  type GroundedShape,
  type Grounding,
  type GroundingFormat,
  type LabelledShape,
} from './processor/grounding.js';
export { readImageHeader, type ImageFormat, type ImageHeader } from './processor/image-header.js';
export { ImageProcessor, type ImageProcessorOptions, type ProcessedImages } from './processor/image-processor.js';
export { type VisualPatches } from './processor/pack-patches.js';
export { patchify, rescaleAndNormalize, type FrameShape, type GridThw, type Patches } from './processor/patchify.js';
export { type PixelArithmetic } from './processor/pixel-arithmetic.js';
export { type PixelBudget } from './processor/pixel-budget.js';
export {
  Processor,
  TOKEN_TYPES,
  visualQuestion,
  type ConversationVisuals,
  type ProcessedConversation,
  type ProcessedVisuals,
  type ProcessOptions,
  type ProcessorOptions,
  type TokenSpan,
  type VisualSpan,
} from './processor/processor.js';
export { toRgb, type RasterImage, type RgbImage } from './processor/raster.js';
export { resizeBicubic } from './processor/resize-bicubic.js';
export {
  sampleFrames,
  type SampledFrames,
  type SampleFramesOptions,
  type SamplingRule,
} from './processor/sample-frames.js';
export { smartResize, type Size, type SmartResizeOptions } from './processor/smart-resize.js';
export { framesPerSecondOf, timestampsOf, type VideoFrames } from './processor/video.js';
export { VideoProcessor, type ProcessedVideos, type VideoSettings } from './processor/video-processor.js';

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
export {
  stopStringMatcher,
  type StopStringMatcher,
  type StopStringOptions,
  type StopStringPiece,
} from './tokenizer/stop-strings.js';
export { type AddedToken } from './tokenizer/tokenizer-json.js';
export { Tokenizer, type DecodeOptions, type EncodeOptions } from './tokenizer/tokenizer.js';
export { trainByteLevelBpe, type TrainedTokenizer } from './tokenizer/train-bpe.js';

export * from './model/index.js';
export * from './quantize/index.js';
