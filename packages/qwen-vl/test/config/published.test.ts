/** The config.json of every published size, in the dialects of the releases that write them. */
import { describe, expect, test } from 'vitest';
import { presets } from '../../src/config/presets.js';
import { resolveConfig } from '../../src/config/resolve-config.js';
import { parameterShapes } from '../../src/model/parameters.js';

type Json = Record<string, unknown>;
type Size = 'qwen2.5-vl-3b' | 'qwen2.5-vl-7b' | 'qwen2.5-vl-32b' | 'qwen2.5-vl-72b';

/** hidden, intermediate, layers, heads, key/value heads, vocabulary, tied, vision intermediate. */
const sizes: readonly (readonly [Size, number, number, number, number, number, number, boolean, number])[] = [
  ['qwen2.5-vl-3b', 2048, 11008, 36, 16, 2, 151936, true, 3420],
  ['qwen2.5-vl-7b', 3584, 18944, 28, 28, 4, 152064, false, 3420],
  ['qwen2.5-vl-32b', 5120, 27648, 64, 40, 8, 152064, false, 3456],
  ['qwen2.5-vl-72b', 8192, 29568, 80, 64, 8, 152064, false, 3456],
];

const tokenIds = {
  vision_start_token_id: 151652,
  vision_end_token_id: 151653,
  vision_token_id: 151654,
  image_token_id: 151655,
  video_token_id: 151656,
};

describe.each(sizes)('%s', (name, hidden, intermediate, layers, heads, keyValueHeads, vocabulary, tied, visionSize) => {
  const text: Json = {
    attention_dropout: 0.0,
    bos_token_id: 151643,
    eos_token_id: 151645,
    hidden_act: 'silu',
    hidden_size: hidden,
    initializer_range: 0.02,
    intermediate_size: intermediate,
    max_position_embeddings: 128000,
    max_window_layers: 70,
    num_attention_heads: heads,
    num_hidden_layers: layers,
    num_key_value_heads: keyValueHeads,
    rms_norm_eps: 1e-6,
    rope_theta: 1000000.0,
    sliding_window: 32768,
    use_cache: true,
    use_sliding_window: false,
    vocab_size: vocabulary,
  };
  const vision: Json = {
    depth: 32,
    fullatt_block_indexes: [7, 15, 23, 31],
    hidden_act: 'silu',
    hidden_size: 1280,
    intermediate_size: visionSize,
    num_heads: 16,
    out_hidden_size: hidden,
    patch_size: 14,
    spatial_merge_size: 2,
    temporal_patch_size: 2,
    tokens_per_second: 2,
    window_size: 112,
  };
  const root: Json = { architectures: ['Qwen2_5_VLForConditionalGeneration'], model_type: 'qwen2_5_vl', ...tokenIds };
  const wanted = presets[name]();

  test('as first published: text fields at the root', () => {
    const json = {
      ...root,
      ...text,
      tie_word_embeddings: tied,
      transformers_version: '4.41.2',
      torch_dtype: 'bfloat16',
      rope_scaling: { type: 'mrope', mrope_section: [16, 24, 24] },
      vision_config: { ...vision, in_chans: 3, spatial_patch_size: 14 },
    };
    expect(resolveConfig(json)).toEqual(wanted);
    expect(resolveConfig(json, 'config.json', parameterShapes(wanted))).toEqual(wanted);
  });

  test('as transformers 4.5x saves it: at the root and in text_config', () => {
    const rope = { mrope_section: [16, 24, 24], rope_type: 'default', type: 'default' };
    const nested = {
      ...text,
      model_type: 'qwen2_5_vl_text',
      layer_types: Array.from({ length: layers }, () => 'full_attention'),
      rope_scaling: rope,
      sliding_window: null,
      tie_word_embeddings: tied,
      vocab_size: vocabulary,
    };
    const json = {
      ...root,
      ...text,
      rope_scaling: rope,
      text_config: nested,
      transformers_version: '4.56.0',
      vision_config: { ...vision, in_channels: 3, in_chans: 3, model_type: 'qwen2_5_vl' },
    };
    expect(resolveConfig(json)).toEqual(wanted);
  });

  test('as transformers 5 saves it: rope_parameters in text_config', () => {
    const { rope_theta: theta, ...rest } = text;
    const json = {
      ...root,
      dtype: 'bfloat16',
      tie_word_embeddings: tied,
      text_config: {
        ...rest,
        rope_parameters: { rope_type: 'default', rope_theta: theta, mrope_section: [16, 24, 24] },
      },
      transformers_version: '5.2.0',
      vision_config: { ...vision, in_channels: 3 },
    };
    expect(resolveConfig(json)).toEqual(wanted);
  });
});
