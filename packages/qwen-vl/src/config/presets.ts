/**
 * Configurations by name: the published Qwen2.5-VL sizes, and `tiny`, the size everything in this project is shown on.
 *
 * Sources: the checkpoints' config.json; the technical report's table of sizes (arXiv 2502.13923, table 1).
 */
import type { PreprocessorConfig, Qwen2_5_VLConfig, Qwen2_5_VLTextConfig } from './types.js';

/** Distance of each special token from `<|endoftext|>`, the first of them, in every Qwen2.5 tokenizer. */
const FROM_END_OF_TEXT = { eos: 2, visionStart: 9, visionEnd: 10, image: 12, video: 13 } as const;

/** Ids for a tokenizer whose special tokens start at `endOfTextId` (151643 in the published one). */
function specialTokenIds(
  endOfTextId: number,
): Pick<
  Qwen2_5_VLConfig,
  | 'imageTokenId'
  | 'videoTokenId'
  | 'visionStartTokenId'
  | 'visionEndTokenId'
  | 'bosTokenId'
  | 'eosTokenIds'
  | 'padTokenId'
> {
  return {
    imageTokenId: endOfTextId + FROM_END_OF_TEXT.image,
    videoTokenId: endOfTextId + FROM_END_OF_TEXT.video,
    visionStartTokenId: endOfTextId + FROM_END_OF_TEXT.visionStart,
    visionEndTokenId: endOfTextId + FROM_END_OF_TEXT.visionEnd,
    bosTokenId: endOfTextId,
    eosTokenIds: [endOfTextId + FROM_END_OF_TEXT.eos],
    padTokenId: null,
  };
}

/** BPE tokens of the tiny tokenizer; its 22 special tokens follow, and rows 406 to 511 are free for new tokens. */
export const TINY_BPE_VOCABULARY_SIZE = 384;

/**
 * The tiny model: 2 x 2 merged patches, partial windows, full and windowed blocks, grouped heads and tied embeddings, so
 * that every branch of the large ones runs, in well under a million parameters.
 * @param endOfTextId id of `<|endoftext|>`, i.e. the number of BPE tokens of the tokenizer in use
 */
export function tinyConfig(endOfTextId: number = TINY_BPE_VOCABULARY_SIZE): Qwen2_5_VLConfig {
  return {
    modelType: 'qwen2_5_vl',
    textConfig: {
      vocabSize: 512,
      hiddenSize: 96,
      intermediateSize: 256,
      numHiddenLayers: 4,
      numAttentionHeads: 6,
      numKeyValueHeads: 2,
      headDim: 16,
      hiddenAct: 'silu',
      rmsNormEps: 1e-6,
      ropeTheta: 10000,
      mropeSection: [2, 3, 3],
      maxPositionEmbeddings: 4096,
      // About 1/√96: at the published 0.02 a model this narrow sits on a plateau for a thousand steps before it sees anything.
      initializerRange: 0.1,
    },
    visionConfig: {
      depth: 4,
      hiddenSize: 64,
      intermediateSize: 128,
      numHeads: 4,
      hiddenAct: 'silu',
      inChannels: 3,
      patchSize: 14,
      temporalPatchSize: 2,
      spatialMergeSize: 2,
      windowSize: 56,
      fullattBlockIndexes: [1, 3],
      outHiddenSize: 96,
      tokensPerSecond: 2,
    },
    ...specialTokenIds(endOfTextId),
    tieWordEmbeddings: true,
  };
}

/** The image mean and deviation of CLIP, which every Qwen2.5-VL uses. */
const CLIP_NORMALIZATION = {
  imageMean: [0.48145466, 0.4578275, 0.40821073],
  imageStd: [0.26862954, 0.26130258, 0.27577711],
  rescaleFactor: 0.00392156862745098,
} as const;

/** The tiny model's images: always 12544 pixels, so a square one becomes 112 x 112 and 4 x 4 visual tokens. */
export function tinyPreprocessorConfig(): PreprocessorConfig {
  return {
    minPixels: 12544,
    maxPixels: 12544,
    patchSize: 14,
    temporalPatchSize: 2,
    mergeSize: 2,
    ...CLIP_NORMALIZATION,
  };
}

/** The published checkpoints' images: from 4 to 16384 visual tokens. */
export function publishedPreprocessorConfig(): PreprocessorConfig {
  return {
    minPixels: 3136,
    maxPixels: 12845056,
    patchSize: 14,
    temporalPatchSize: 2,
    mergeSize: 2,
    ...CLIP_NORMALIZATION,
  };
}

function published(
  text: Pick<
    Qwen2_5_VLTextConfig,
    'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'numHiddenLayers' | 'numAttentionHeads' | 'numKeyValueHeads'
  >,
  visionIntermediateSize: number,
  tieWordEmbeddings: boolean,
): Qwen2_5_VLConfig {
  return {
    modelType: 'qwen2_5_vl',
    textConfig: {
      ...text,
      headDim: 128,
      hiddenAct: 'silu',
      rmsNormEps: 1e-6,
      ropeTheta: 1_000_000,
      mropeSection: [16, 24, 24],
      maxPositionEmbeddings: 128000,
      initializerRange: 0.02,
    },
    visionConfig: {
      depth: 32,
      hiddenSize: 1280,
      intermediateSize: visionIntermediateSize,
      numHeads: 16,
      hiddenAct: 'silu',
      inChannels: 3,
      patchSize: 14,
      temporalPatchSize: 2,
      spatialMergeSize: 2,
      windowSize: 112,
      fullattBlockIndexes: [7, 15, 23, 31],
      outHiddenSize: text.hiddenSize,
      tokensPerSecond: 2,
    },
    ...specialTokenIds(151643),
    tieWordEmbeddings,
  };
}

const sizes = (
  vocabSize: number,
  hiddenSize: number,
  intermediateSize: number,
  numHiddenLayers: number,
  numAttentionHeads: number,
  numKeyValueHeads: number,
): Parameters<typeof published>[0] => ({
  vocabSize,
  hiddenSize,
  intermediateSize,
  numHiddenLayers,
  numAttentionHeads,
  numKeyValueHeads,
});

/** Configurations by name. Each call builds a fresh one. */
export const presets: {
  readonly [
    name in 'tiny' | 'qwen2.5-vl-3b' | 'qwen2.5-vl-7b' | 'qwen2.5-vl-32b' | 'qwen2.5-vl-72b'
  ]: () => Qwen2_5_VLConfig;
} = {
  tiny: () => tinyConfig(),
  'qwen2.5-vl-3b': () => published(sizes(151936, 2048, 11008, 36, 16, 2), 3420, true),
  'qwen2.5-vl-7b': () => published(sizes(152064, 3584, 18944, 28, 28, 4), 3420, false),
  'qwen2.5-vl-32b': () => published(sizes(152064, 5120, 27648, 64, 40, 8), 3456, false),
  'qwen2.5-vl-72b': () => published(sizes(152064, 8192, 29568, 80, 64, 8), 3456, false),
};
