/**
 * The tensors of a Qwen2.5-VL checkpoint: every expected name with its shape, derived from the configuration.
 *
 * Names are those of the module tree in transformers from 4.52 on (`model.visual.*`, `model.language_model.*`, `lm_head`).
 * Published shards carry older names and MLX has its own; `canonicalName` maps both.
 */
import type { Qwen2_5_VLConfig, Qwen2_5_VLTextConfig, Qwen2_5_VLVisionConfig } from '../config/types.js';

export type ParameterShapes = ReadonlyMap<string, readonly number[]>;

const linear = (name: string, outputs: number, inputs: number, bias: boolean): [string, number[]][] => [
  [`${name}.weight`, [outputs, inputs]],
  ...(bias ? ([[`${name}.bias`, [outputs]]] as [string, number[]][]) : []),
];

function languageLayer(text: Qwen2_5_VLTextConfig, index: number): [string, number[]][] {
  const prefix = `model.language_model.layers.${index}`;
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim } = text;
  return [
    [`${prefix}.input_layernorm.weight`, [hiddenSize]],
    ...linear(`${prefix}.self_attn.q_proj`, numAttentionHeads * headDim, hiddenSize, true),
    ...linear(`${prefix}.self_attn.k_proj`, numKeyValueHeads * headDim, hiddenSize, true),
    ...linear(`${prefix}.self_attn.v_proj`, numKeyValueHeads * headDim, hiddenSize, true),
    ...linear(`${prefix}.self_attn.o_proj`, hiddenSize, numAttentionHeads * headDim, false),
    [`${prefix}.post_attention_layernorm.weight`, [hiddenSize]],
    ...linear(`${prefix}.mlp.gate_proj`, intermediateSize, hiddenSize, false),
    ...linear(`${prefix}.mlp.up_proj`, intermediateSize, hiddenSize, false),
    ...linear(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize, false),
  ];
}

function visionBlock(vision: Qwen2_5_VLVisionConfig, index: number): [string, number[]][] {
  const prefix = `model.visual.blocks.${index}`;
  const { hiddenSize, intermediateSize } = vision;
  return [
    [`${prefix}.norm1.weight`, [hiddenSize]],
    ...linear(`${prefix}.attn.qkv`, 3 * hiddenSize, hiddenSize, true),
    ...linear(`${prefix}.attn.proj`, hiddenSize, hiddenSize, true),
    [`${prefix}.norm2.weight`, [hiddenSize]],
    ...linear(`${prefix}.mlp.gate_proj`, intermediateSize, hiddenSize, true),
    ...linear(`${prefix}.mlp.up_proj`, intermediateSize, hiddenSize, true),
    ...linear(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize, true),
  ];
}

/** Every tensor that a model of this configuration needs. A tied head has no tensor of its own. */
export function parameterShapes({ textConfig, visionConfig, tieWordEmbeddings }: Qwen2_5_VLConfig): ParameterShapes {
  const { vocabSize, hiddenSize, numHiddenLayers } = textConfig;
  const { depth, inChannels, temporalPatchSize, patchSize, spatialMergeSize, outHiddenSize } = visionConfig;
  const merged = visionConfig.hiddenSize * spatialMergeSize ** 2;
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  return new Map([
    [
      'model.visual.patch_embed.proj.weight',
      [visionConfig.hiddenSize, inChannels, temporalPatchSize, patchSize, patchSize],
    ],
    ...range(depth).flatMap((index) => visionBlock(visionConfig, index)),
    ['model.visual.merger.ln_q.weight', [visionConfig.hiddenSize]],
    ...linear('model.visual.merger.mlp.0', merged, merged, true),
    ...linear('model.visual.merger.mlp.2', outHiddenSize, merged, true),
    ['model.language_model.embed_tokens.weight', [vocabSize, hiddenSize]],
    ...range(numHiddenLayers).flatMap((index) => languageLayer(textConfig, index)),
    ['model.language_model.norm.weight', [hiddenSize]],
    ...(tieWordEmbeddings ? [] : ([['lm_head.weight', [vocabSize, hiddenSize]]] as [string, number[]][])),
  ]);
}

/**
 * How a checkpoint names its tensors: `old` as the published shards do (`visual.*`, `model.layers.*`), `new` as the module
 * tree of transformers from 4.52 on, `mlx` as mlx-vlm (`vision_tower.*`, `language_model.model.*`).
 */
export type NameLayout = 'old' | 'new' | 'mlx';

interface Renaming {
  readonly layout: NameLayout;
  readonly prefix: RegExp;
  readonly canonical: string;
}

/** In order, first match wins. A bare `Model` class saves without the leading `model.`, which MLX never does. */
const renamings: readonly Renaming[] = [
  { layout: 'mlx', prefix: /^vision_tower\./, canonical: 'model.visual.' },
  { layout: 'mlx', prefix: /^language_model\.model\./, canonical: 'model.language_model.' },
  { layout: 'mlx', prefix: /^language_model\.lm_head\./, canonical: 'lm_head.' },
  { layout: 'new', prefix: /^(?:model\.)?language_model\./, canonical: 'model.language_model.' },
  { layout: 'new', prefix: /^model\.visual\./, canonical: 'model.visual.' },
  { layout: 'old', prefix: /^visual\./, canonical: 'model.visual.' },
  { layout: 'old', prefix: /^model\./, canonical: 'model.language_model.' },
];

const ruleFor = (name: string): Renaming | undefined => renamings.find(({ prefix }) => prefix.test(name));

/** The name that a checkpoint tensor has in the module tree; unknown names come back as they are. */
export function canonicalName(name: string): string {
  const rule = ruleFor(name);
  return rule ? name.replace(rule.prefix, rule.canonical) : name;
}

/** The layout that a tensor's name belongs to; undefined for names that all have in common, such as `lm_head.weight`. */
export const nameLayout = (name: string): NameLayout | undefined => ruleFor(name)?.layout;

/** The linear layers of the language model that LoRA adapts by default, by the last part of their names. */
export const languageLinearNames = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;
