/**
 * The resolved configuration of a Qwen2.5-VL model: what every other part reads.
 *
 * Names are those of transformers in camelCase. All values are checked and complete: nothing here is optional because a
 * file left it out. Source: transformers `configuration_qwen2_5_vl.py` and the checkpoints' config.json.
 */

/** The language model. Head h of the queries reads key/value head floor(h / (numAttentionHeads / numKeyValueHeads)). */
export interface Qwen2_5_VLTextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly hiddenAct: 'silu';
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Rotary frequency pairs for the time, height and width axis, in this order; they sum to headDim / 2. */
  readonly mropeSection: readonly [number, number, number];
  readonly maxPositionEmbeddings: number;
  readonly initializerRange: number;
}

/** The vision tower. Sizes are in pixels where the name says pixels or `windowSize`, in channels elsewhere. */
export interface Qwen2_5_VLVisionConfig {
  readonly depth: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly hiddenAct: 'silu';
  readonly inChannels: number;
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly spatialMergeSize: number;
  /** Side of an attention window in pixels. */
  readonly windowSize: number;
  /** Blocks that attend over the whole frame; the others attend within windows. */
  readonly fullattBlockIndexes: readonly number[];
  readonly outHiddenSize: number;
  readonly tokensPerSecond: number;
}

/** Ids of the tokens that carry or frame visual input, all below `textConfig.vocabSize`. */
export interface MultimodalTokenIds {
  readonly imageTokenId: number;
  readonly videoTokenId: number;
  readonly visionStartTokenId: number;
  readonly visionEndTokenId: number;
}

export interface Qwen2_5_VLConfig extends MultimodalTokenIds {
  readonly modelType: 'qwen2_5_vl';
  readonly textConfig: Qwen2_5_VLTextConfig;
  readonly visionConfig: Qwen2_5_VLVisionConfig;
  /** Whether the output head is the embedding matrix (then `lm_head.weight` is absent from the files). */
  readonly tieWordEmbeddings: boolean;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
}

/** preprocessor_config.json: how an image becomes patches. Budgets are in pixels after resizing. */
export interface PreprocessorConfig {
  readonly minPixels: number;
  readonly maxPixels: number;
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly mergeSize: number;
  readonly imageMean: readonly number[];
  readonly imageStd: readonly number[];
  readonly rescaleFactor: number;
}

/** generation_config.json: the checkpoint's own decoding settings, with the neutral value where it says nothing. */
export interface GenerationConfig {
  readonly doSample: boolean;
  readonly temperature: number;
  /** Number of candidates kept; 0 keeps all. */
  readonly topK: number;
  readonly topP: number;
  readonly repetitionPenalty: number;
  readonly maxNewTokens: number | null;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
}

/** A JSON value; what configuration files hold before they are checked. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };

/** Logical shapes of a checkpoint's tensors by their names in the module tree, packed matrices as those they stand for. */
export type TensorShapes = ReadonlyMap<string, readonly number[]>;
