/**
 * `Qwen2_5_VLConfig` -> the config.json of Hugging Face.
 *
 * The layout is that of the original Qwen2.5-VL checkpoints (text fields at the root), which every transformers release
 * that knows the model reads, 4.49 as well as 5. Reading the result back gives the same configuration.
 */
import type { JsonObject, PreprocessorConfig, Qwen2_5_VLConfig, Qwen2_5_VLVisionConfig } from './types.js';

function visionJson(vision: Qwen2_5_VLVisionConfig): JsonObject {
  return {
    depth: vision.depth,
    hidden_act: vision.hiddenAct,
    hidden_size: vision.hiddenSize,
    intermediate_size: vision.intermediateSize,
    num_heads: vision.numHeads,
    // The checkpoints say in_chans, the code reads in_channels; both are written so that no reader falls back to 3.
    in_chans: vision.inChannels,
    in_channels: vision.inChannels,
    out_hidden_size: vision.outHiddenSize,
    patch_size: vision.patchSize,
    spatial_merge_size: vision.spatialMergeSize,
    spatial_patch_size: vision.patchSize,
    temporal_patch_size: vision.temporalPatchSize,
    window_size: vision.windowSize,
    fullatt_block_indexes: [...vision.fullattBlockIndexes],
    tokens_per_second: vision.tokensPerSecond,
  };
}

/**
 * The content of a config.json for this configuration.
 * @param dtype the dtype the weights are stored in, for readers that load in it
 */
export function toHuggingFaceConfig(config: Qwen2_5_VLConfig, dtype: string = 'float32'): JsonObject {
  const text = config.textConfig;
  const derivedHeadDim = text.hiddenSize / text.numAttentionHeads;
  return {
    architectures: ['Qwen2_5_VLForConditionalGeneration'],
    model_type: config.modelType,
    vocab_size: text.vocabSize,
    hidden_size: text.hiddenSize,
    intermediate_size: text.intermediateSize,
    num_hidden_layers: text.numHiddenLayers,
    num_attention_heads: text.numAttentionHeads,
    num_key_value_heads: text.numKeyValueHeads,
    ...(text.headDim === derivedHeadDim ? {} : { head_dim: text.headDim }),
    hidden_act: text.hiddenAct,
    rms_norm_eps: text.rmsNormEps,
    rope_theta: text.ropeTheta,
    rope_scaling: { type: 'mrope', mrope_section: [...text.mropeSection] },
    max_position_embeddings: text.maxPositionEmbeddings,
    initializer_range: text.initializerRange,
    attention_dropout: 0,
    use_sliding_window: false,
    use_cache: true,
    tie_word_embeddings: config.tieWordEmbeddings,
    bos_token_id: config.bosTokenId,
    eos_token_id: idOrList(config.eosTokenIds),
    pad_token_id: config.padTokenId,
    image_token_id: config.imageTokenId,
    video_token_id: config.videoTokenId,
    vision_start_token_id: config.visionStartTokenId,
    vision_end_token_id: config.visionEndTokenId,
    vision_config: visionJson(config.visionConfig),
    torch_dtype: dtype,
  };
}

/** The content of a preprocessor_config.json for this configuration. */
export function toHuggingFacePreprocessorConfig(config: PreprocessorConfig): JsonObject {
  return {
    image_processor_type: 'Qwen2VLImageProcessor',
    processor_class: 'Qwen2_5_VLProcessor',
    min_pixels: config.minPixels,
    max_pixels: config.maxPixels,
    patch_size: config.patchSize,
    temporal_patch_size: config.temporalPatchSize,
    merge_size: config.mergeSize,
    image_mean: [...config.imageMean],
    image_std: [...config.imageStd],
    rescale_factor: config.rescaleFactor,
    resample: 3,
    do_convert_rgb: true,
    do_resize: true,
    do_rescale: true,
    do_normalize: true,
  };
}

/** Transformers writes a single id as a number; none as null. */
export function idOrList(ids: readonly number[]): number | readonly number[] | null {
  return ids.length === 0 ? null : ids.length === 1 ? (ids[0] ?? null) : [...ids];
}
