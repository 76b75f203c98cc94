/**
 * Number of parameters of a Qwen2.5-VL model, from its configuration alone.
 *
 * With h = hidden, i = intermediate, a = heads * head_dim, k = kv heads * head_dim:
 *   language layer  q (h+1)a + k,v 2(h+1)k + o ah + gate,up,down 3hi + two norms 2h
 *   language model  embedding Vh + L layers + final norm h + head Vh (absent if tied)
 *   vision block    qkv (h+1)3h + proj (h+1)h + gate,up 2(h+1)i + down (i+1)h + two norms 2h
 *   vision tower    patches C*T*P*P*h + blocks + merger: norm h, (m+1)m + (m+1)out with m = h * merge^2
 */
import type { Qwen2_5_VLConfig } from './types.js';

/** Parameters of the language model, the vision tower and both, as plain counts. Ties are counted once. */
export function parameterCount(config: Qwen2_5_VLConfig): number {
  return languageParameterCount(config) + visionParameterCount(config);
}

/** Parameters of the language model with its head; a tied head adds nothing. */
export function languageParameterCount(config: Qwen2_5_VLConfig): number {
  const text = config.textConfig;
  const { hiddenSize: h, intermediateSize: i } = text;
  const queries = text.numAttentionHeads * text.headDim;
  const keys = text.numKeyValueHeads * text.headDim;
  const layer = (h + 1) * queries + 2 * (h + 1) * keys + queries * h + 3 * h * i + 2 * h;
  return text.vocabSize * h * (config.tieWordEmbeddings ? 1 : 2) + text.numHiddenLayers * layer + h;
}

/** Parameters of the vision tower with its merger. */
export function visionParameterCount(config: Qwen2_5_VLConfig): number {
  const vision = config.visionConfig;
  const { hiddenSize: h, intermediateSize: i } = vision;
  const block = (h + 1) * 3 * h + (h + 1) * h + 2 * (h + 1) * i + (i + 1) * h + 2 * h;
  const merged = h * vision.spatialMergeSize ** 2;
  const merger = h + (merged + 1) * merged + (merged + 1) * vision.outHiddenSize;
  const patch = vision.inChannels * vision.temporalPatchSize * vision.patchSize ** 2 * h;
  return patch + vision.depth * block + merger;
}
