/**
 * config.json -> one checked `Qwen2_5_VLConfig`.
 *
 * The same model is described in three dialects, all read here:
 *   - original checkpoints (transformers 4.41): text fields at the root, `rope_scaling.type: "mrope"`, `in_chans`;
 *   - transformers 4.52 and later: text fields under `text_config`, `rope_type: "default"`;
 *   - transformers 5: `rope_parameters {rope_type, rope_theta, mrope_section}` instead of `rope_scaling` and `rope_theta`.
 *
 * With the headers of the weights at hand every dimension that shapes tell is checked against them, and filled in from them
 * where the file leaves it out (`header-facts.ts`). What is left out otherwise takes the default of transformers' class,
 * since that is what the writer of the file meant by leaving it out; the dimensions among those defaults are not those of
 * any published checkpoint. Anything that would change the computation and is not implemented is refused by name.
 *
 * Source: transformers `models/qwen2_5_vl/configuration_qwen2_5_vl.py` (4.49 to 5.18).
 */
import { z } from 'zod';
import { ConfigError, quoteValue } from '../errors.js';
import { type ConfigParts, withHeaderFacts } from './header-facts.js';
import { parameterCount } from './parameter-count.js';
import { resolveQuantizationConfig } from './quantization-config.js';
import type { Qwen2_5_VLConfig, Qwen2_5_VLTextConfig, Qwen2_5_VLVisionConfig, TensorShapes } from './types.js';
import { ensure, integer, LIMITS, positive, tokenId, tokenIdList, validate } from './validation.js';

/** `model_type` values that `resolveConfig` accepts. */
export const SUPPORTED_MODEL_TYPES: readonly string[] = ['qwen2_5_vl'];

const SLIDING = 'sliding-window attention is not supported; every layer must be full attention';
const SILU = 'the only supported activation is "silu"';

const ropeSchema = z.looseObject({
  type: z.string().nullish(),
  rope_type: z.string().nullish(),
  rope_theta: positive(1e12).optional(),
  mrope_section: z.array(integer(1, LIMITS.width)).length(3),
  mrope_interleaved: z.literal(false, 'interleaved mRoPE (Qwen3-VL) is not supported').nullish(),
  partial_rotary_factor: z.literal(1, 'partial rotary embedding is not supported').nullish(),
});

const textSchema = z.looseObject({
  vocab_size: integer(1, LIMITS.vocabSize).default(152064),
  hidden_size: integer(1, LIMITS.width).default(8192),
  intermediate_size: integer(1, LIMITS.intermediate).default(29568),
  num_hidden_layers: integer(1, LIMITS.layers).default(80),
  num_attention_heads: integer(1, LIMITS.heads).default(64),
  num_key_value_heads: integer(1, LIMITS.heads).nullable().default(8),
  head_dim: integer(2, LIMITS.width).nullish(),
  hidden_act: z.literal('silu', SILU).default('silu'),
  rms_norm_eps: positive(1).default(1e-5),
  rope_theta: positive(1e12).optional(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  max_position_embeddings: integer(1, LIMITS.positions).default(32768),
  initializer_range: z.number().min(0).max(10).default(0.02),
  attention_dropout: z.literal(0, 'attention dropout is not supported; it must be 0').nullish(),
  use_sliding_window: z.literal(false, SLIDING).nullish(),
  layer_types: z.array(z.literal('full_attention', SLIDING)).max(LIMITS.layers).nullish(),
  bos_token_id: tokenId().nullish(),
  eos_token_id: tokenIdList.optional(),
  pad_token_id: tokenId().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
});

const visionSchema = z.looseObject({
  depth: integer(1, LIMITS.layers).default(32),
  hidden_size: integer(4, LIMITS.width).default(3584),
  intermediate_size: integer(1, LIMITS.intermediate).default(3420),
  num_heads: integer(1, LIMITS.heads).default(16),
  hidden_act: z.literal('silu', SILU).default('silu'),
  in_chans: integer(1, 16).nullish(),
  in_channels: integer(1, 16).nullish(),
  patch_size: integer(1, LIMITS.patch).default(14),
  temporal_patch_size: integer(1, 16).default(2),
  spatial_merge_size: integer(1, 16).default(2),
  window_size: integer(1, 2 ** 16).default(112),
  fullatt_block_indexes: z
    .array(integer(0, LIMITS.layers - 1))
    .max(LIMITS.layers)
    .optional(),
  out_hidden_size: integer(1, LIMITS.width).default(3584),
  tokens_per_second: z.number().min(0).max(1000).default(4),
});

const rootSchema = z.looseObject({
  text_config: z.looseObject({}).nullish(),
  vision_config: z.looseObject({}).nullish(),
  image_token_id: tokenId().default(151655),
  video_token_id: tokenId().default(151656),
  vision_start_token_id: tokenId().default(151652),
  vision_end_token_id: tokenId().default(151653),
  tie_word_embeddings: z.boolean().nullish(),
  bos_token_id: tokenId().nullish(),
  eos_token_id: tokenIdList.optional(),
  pad_token_id: tokenId().nullish(),
});

const CLASS_DEFAULT_FULL_ATTENTION = [7, 15, 23, 31];
const SUPPORTED_ROPE_TYPES = ['mrope', 'default'];

function resolveRope(
  text: z.infer<typeof textSchema>,
  headDim: number,
  source: string,
): Pick<Qwen2_5_VLTextConfig, 'ropeTheta' | 'mropeSection'> {
  const rope = text.rope_parameters ?? text.rope_scaling;
  ensure(
    rope !== null && rope !== undefined,
    source,
    'rope_scaling (or rope_parameters) is missing; Qwen2.5-VL needs its mrope_section',
  );
  for (const type of [rope.rope_type, rope.type]) {
    ensure(
      type === null || type === undefined || SUPPORTED_ROPE_TYPES.includes(type),
      source,
      `rope type ${quoteValue(type)} is not supported; supported: ${SUPPORTED_ROPE_TYPES.join(', ')}`,
    );
  }
  const [time, height, width] = rope.mrope_section;
  ensure(time !== undefined && height !== undefined && width !== undefined, source, 'mrope_section needs 3 numbers');
  ensure(
    (time + height + width) * 2 === headDim,
    source,
    `mrope_section [${rope.mrope_section.join(', ')}] must sum to half of head_dim ${headDim}`,
  );
  return { ropeTheta: rope.rope_theta ?? text.rope_theta ?? 1_000_000, mropeSection: [time, height, width] };
}

function resolveText(text: z.infer<typeof textSchema>, source: string): Qwen2_5_VLTextConfig {
  const heads = text.num_attention_heads;
  const keyValueHeads = text.num_key_value_heads ?? heads;
  ensure(
    heads % keyValueHeads === 0,
    source,
    `num_attention_heads ${heads} must be a multiple of num_key_value_heads ${keyValueHeads}`,
  );
  if (text.head_dim === null || text.head_dim === undefined) {
    ensure(
      text.hidden_size % heads === 0,
      source,
      `hidden_size ${text.hidden_size} must be a multiple of num_attention_heads ${heads} when head_dim is not given`,
    );
  }
  const headDim = text.head_dim ?? text.hidden_size / heads;
  return {
    vocabSize: text.vocab_size,
    hiddenSize: text.hidden_size,
    intermediateSize: text.intermediate_size,
    numHiddenLayers: text.num_hidden_layers,
    numAttentionHeads: heads,
    numKeyValueHeads: keyValueHeads,
    headDim,
    hiddenAct: text.hidden_act,
    rmsNormEps: text.rms_norm_eps,
    ...resolveRope(text, headDim, source),
    maxPositionEmbeddings: text.max_position_embeddings,
    initializerRange: text.initializer_range,
  };
}

function resolveVision(vision: z.infer<typeof visionSchema>, source: string): Qwen2_5_VLVisionConfig {
  const { hidden_size: hidden, num_heads: heads, depth } = vision;
  ensure(
    hidden % (heads * 4) === 0,
    source,
    `vision_config.hidden_size ${hidden} must be a multiple of 4 * num_heads ${heads}, since 2D rotary embedding ` +
      'splits each head into quarters',
  );
  const mergedPatch = vision.patch_size * vision.spatial_merge_size;
  ensure(
    vision.window_size >= mergedPatch,
    source,
    `vision_config.window_size ${vision.window_size} px is smaller than one merged patch of ${mergedPatch} px`,
  );
  const blocks = vision.fullatt_block_indexes ?? CLASS_DEFAULT_FULL_ATTENTION.filter((index) => index < depth);
  const outside = blocks.find((index) => index >= depth);
  ensure(
    outside === undefined,
    source,
    `vision_config.fullatt_block_indexes names block ${outside}, but depth is ${depth} (blocks 0 to ${depth - 1})`,
  );
  return {
    depth,
    hiddenSize: hidden,
    intermediateSize: vision.intermediate_size,
    numHeads: heads,
    hiddenAct: vision.hidden_act,
    inChannels: vision.in_chans ?? vision.in_channels ?? 3,
    patchSize: vision.patch_size,
    temporalPatchSize: vision.temporal_patch_size,
    spatialMergeSize: vision.spatial_merge_size,
    windowSize: vision.window_size,
    fullattBlockIndexes: [...new Set(blocks)].sort((a, b) => a - b),
    outHiddenSize: vision.out_hidden_size,
    tokensPerSecond: vision.tokens_per_second,
  };
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};

/** Fields of the root, where the old layout has the text model's, under those of text_config that say something. */
const textFields = (json: object, nested: object | null | undefined): Readonly<Record<string, unknown>> => ({
  ...json,
  ...Object.fromEntries(Object.entries(nested ?? {}).filter(([, value]) => value !== null && value !== undefined)),
});

/** Whether the head is tied; undefined where neither place says so. transformers 4.52 to 4.57 say it in text_config. */
function tiedIn(
  root: { tie_word_embeddings?: boolean | null | undefined },
  nested: Readonly<Record<string, unknown>>,
): boolean | undefined {
  const said = [root.tie_word_embeddings, nested['tie_word_embeddings']].filter((value) => typeof value === 'boolean');
  return said.length === 0 ? undefined : said.includes(true);
}

/** The rotary sections, before anything is validated: they tell the size of a head where nothing else does. */
function mropeSectionIn(text: Readonly<Record<string, unknown>>): number[] | undefined {
  const section = fieldsOf(text['rope_parameters'] ?? text['rope_scaling'])['mrope_section'];
  return Array.isArray(section) && section.every((size) => Number.isSafeInteger(size)) ? section : undefined;
}

/**
 * Resolves the parsed content of a config.json.
 * @param json any parsed JSON; it is not trusted
 * @param source the file's name, the first word of every error
 * @param headers shapes of the checkpoint's tensors (`shapesOf`): what the file says is checked against them, and what it
 *   leaves out is taken from them
 * @throws ConfigError in one line: unknown model type (with the supported ones), an unsupported feature or quantisation, a
 *   missing, contradictory or absurd value, a field that the headers contradict
 */
export function resolveConfig(json: unknown, source: string = 'config.json', headers?: TensorShapes): Qwen2_5_VLConfig {
  ensure(typeof json === 'object' && json !== null && !Array.isArray(json), source, 'the file must hold a JSON object');
  const modelType = 'model_type' in json ? json.model_type : undefined;
  if (typeof modelType !== 'string' || !SUPPORTED_MODEL_TYPES.includes(modelType)) {
    throw new ConfigError(
      `${source}: model_type ${quoteValue(modelType)} is not supported; supported: ${SUPPORTED_MODEL_TYPES.join(', ')}`,
    );
  }
  resolveQuantizationConfig(json, source);
  const root = validate(rootSchema, json, source);
  const fields = textFields(json, root.text_config);
  const said: ConfigParts = {
    text: fields,
    vision: root.vision_config ?? {},
    tied: tiedIn(root, fieldsOf(root.text_config)),
  };
  const parts = headers ? withHeaderFacts(said, headers, mropeSectionIn(fields), source) : said;
  const text = validate(textSchema, parts.text, source);
  const textConfig = resolveText(text, source);
  const visionConfig = resolveVision(validate(visionSchema, parts.vision, `${source}: vision_config`), source);
  ensure(
    visionConfig.outHiddenSize === textConfig.hiddenSize,
    source,
    `vision_config.out_hidden_size ${visionConfig.outHiddenSize} must equal the text hidden_size ${textConfig.hiddenSize}`,
  );
  for (const key of ['image_token_id', 'video_token_id', 'vision_start_token_id', 'vision_end_token_id'] as const) {
    ensure(
      root[key] < textConfig.vocabSize,
      source,
      `${key} ${root[key]} must be below vocab_size ${textConfig.vocabSize}`,
    );
  }
  const config: Qwen2_5_VLConfig = {
    modelType: 'qwen2_5_vl',
    textConfig,
    visionConfig,
    imageTokenId: root.image_token_id,
    videoTokenId: root.video_token_id,
    visionStartTokenId: root.vision_start_token_id,
    visionEndTokenId: root.vision_end_token_id,
    tieWordEmbeddings: parts.tied ?? false,
    bosTokenId: text.bos_token_id ?? root.bos_token_id ?? null,
    eosTokenIds: text.eos_token_id ?? root.eos_token_id ?? [],
    padTokenId: text.pad_token_id ?? root.pad_token_id ?? null,
  };
  const parameters = parameterCount(config);
  ensure(
    parameters <= LIMITS.parameters,
    source,
    `describes a model of ${parameters.toExponential(1)} parameters, above the limit of ${LIMITS.parameters.toExponential(1)}`,
  );
  return config;
}
