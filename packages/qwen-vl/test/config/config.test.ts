import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolveGenerationConfig, toHuggingFaceGenerationConfig } from '../../src/config/generation-config.js';
import { parameterCount, visionParameterCount } from '../../src/config/parameter-count.js';
import {
  checkPreprocessorFitsModel,
  resolvePreprocessorConfig,
  resolveVideoSettings,
} from '../../src/config/preprocessor-config.js';
import { presets, publishedPreprocessorConfig, tinyConfig, tinyPreprocessorConfig } from '../../src/config/presets.js';
import { resolveConfig } from '../../src/config/resolve-config.js';
import { toHuggingFaceConfig, toHuggingFacePreprocessorConfig } from '../../src/config/serialize-config.js';
import type { GenerationConfig, Qwen2_5_VLConfig } from '../../src/config/types.js';
import { ConfigError } from '../../src/errors.js';
import { readGoldenJson } from '../support/golden.js';

type Json = Record<string, unknown>;

/** Any configuration that is consistent. */
const config: fc.Arbitrary<Qwen2_5_VLConfig> = fc
  .record({
    keyValueHeads: fc.integer({ min: 1, max: 4 }),
    group: fc.integer({ min: 1, max: 4 }),
    sections: fc.tuple(...[1, 2, 3].map(() => fc.integer({ min: 1, max: 8 }))) as fc.Arbitrary<
      [number, number, number]
    >,
    ownHeadDim: fc.boolean(),
    depth: fc.integer({ min: 1, max: 6 }),
    visionHeads: fc.integer({ min: 1, max: 4 }),
    small: fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 6, maxLength: 6 }),
    blocks: fc.array(fc.nat(5)),
    tied: fc.boolean(),
    ids: fc.array(fc.nat(99), { minLength: 7, maxLength: 7 }),
    eos: fc.array(fc.nat(99), { maxLength: 3 }),
  })
  .map(({ keyValueHeads, group, sections, ownHeadDim, depth, visionHeads, small, blocks, tied, ids, eos }) => {
    const headDim = 2 * (sections[0] + sections[1] + sections[2]);
    const heads = keyValueHeads * group;
    const hiddenSize = heads * headDim * (ownHeadDim ? 3 : 1);
    return {
      modelType: 'qwen2_5_vl',
      textConfig: {
        vocabSize: 100 + small[0]!,
        hiddenSize,
        intermediateSize: small[1]!,
        numHiddenLayers: small[2]!,
        numAttentionHeads: heads,
        numKeyValueHeads: keyValueHeads,
        headDim,
        hiddenAct: 'silu',
        rmsNormEps: 1e-6,
        ropeTheta: 1000 * small[3]!,
        mropeSection: sections,
        maxPositionEmbeddings: 512,
        initializerRange: 0.02,
      },
      visionConfig: {
        depth,
        hiddenSize: visionHeads * 4 * small[4]!,
        intermediateSize: small[5]!,
        numHeads: visionHeads,
        hiddenAct: 'silu',
        inChannels: 3,
        patchSize: (small[0]! % 8) + 1,
        temporalPatchSize: 2,
        spatialMergeSize: 2,
        windowSize: 64,
        fullattBlockIndexes: [...new Set(blocks.filter((block) => block < depth))].sort((a, b) => a - b),
        outHiddenSize: hiddenSize,
        tokensPerSecond: 2,
      },
      imageTokenId: ids[0]!,
      videoTokenId: ids[1]!,
      visionStartTokenId: ids[2]!,
      visionEndTokenId: ids[3]!,
      tieWordEmbeddings: tied,
      bosTokenId: ids[4]! % 2 === 0 ? null : ids[4]!,
      eosTokenIds: eos,
      padTokenId: ids[5]! % 2 === 0 ? null : ids[5]!,
    };
  });

/** The same content in the layout of transformers 5. */
function nested(flat: Json): Json {
  const { vision_config, rope_theta, rope_scaling, tie_word_embeddings, ...rest } = flat;
  const rope = rope_scaling as Json;
  const ids = Object.fromEntries(
    Object.entries(rest).filter(([key]) => /^(image|video|vision_\w+)_token_id$/.test(key)),
  );
  return {
    model_type: 'qwen2_5_vl',
    tie_word_embeddings,
    ...ids,
    vision_config: { ...(vision_config as Json), in_chans: undefined },
    text_config: {
      ...rest,
      model_type: 'qwen2_5_vl_text',
      rope_parameters: { rope_type: 'default', rope_theta, mrope_section: rope['mrope_section'] },
    },
  };
}

describe('round trips', () => {
  test('configuration to JSON and back, in the old layout and the new', () => {
    fc.assert(
      fc.property(config, (value) => {
        const json = JSON.parse(JSON.stringify(toHuggingFaceConfig(value))) as Json;
        expect(resolveConfig(json)).toEqual(value);
        expect(resolveConfig(nested(json))).toEqual(value);
      }),
    );
  });

  test('the presets', () => {
    for (const preset of Object.values(presets)) {
      expect(resolveConfig(JSON.parse(JSON.stringify(toHuggingFaceConfig(preset()))))).toEqual(preset());
    }
    for (const preset of [tinyPreprocessorConfig(), publishedPreprocessorConfig()]) {
      expect(resolvePreprocessorConfig(JSON.parse(JSON.stringify(toHuggingFacePreprocessorConfig(preset))))).toEqual(
        preset,
      );
    }
  });

  test('generation settings', () => {
    const settings: GenerationConfig = {
      doSample: true,
      temperature: 0.1,
      topK: 1,
      topP: 0.001,
      repetitionPenalty: 1.05,
      maxNewTokens: 20,
      bosTokenId: 1,
      eosTokenIds: [3, 1],
      padTokenId: 1,
    };
    expect(resolveGenerationConfig(toHuggingFaceGenerationConfig(settings), tinyConfig())).toEqual(settings);
  });
});

describe('files of checkpoints', () => {
  test('saved by transformers 5, nested', () => {
    const { textConfig, visionConfig, ...rest } = resolveConfig(readGoldenJson('models/tiny-tied/config.json'));
    expect(textConfig).toMatchObject({
      hiddenSize: 64,
      numHiddenLayers: 3,
      headDim: 16,
      mropeSection: [2, 3, 3],
      ropeTheta: 10000,
      rmsNormEps: 1e-6,
    });
    expect(visionConfig).toMatchObject({
      depth: 4,
      patchSize: 4,
      windowSize: 16,
      fullattBlockIndexes: [1, 3],
      outHiddenSize: 64,
      tokensPerSecond: 2,
    });
    expect(rest).toMatchObject({
      imageTokenId: 468,
      tieWordEmbeddings: true,
      bosTokenId: 456,
      eosTokenIds: [458],
      padTokenId: null,
    });
  });

  test('in the layout of the original checkpoints, flat', () => {
    const { textConfig, visionConfig, tieWordEmbeddings } = resolveConfig(
      readGoldenJson('models/tiny-untied/config.json'),
    );
    expect(textConfig).toMatchObject({ hiddenSize: 48, numAttentionHeads: 3, numKeyValueHeads: 1, ropeTheta: 1e6 });
    expect(visionConfig).toMatchObject({
      hiddenSize: 40,
      numHeads: 2,
      inChannels: 3,
      fullattBlockIndexes: [0],
      windowSize: 32,
    });
    expect(tieWordEmbeddings).toBe(false);
  });

  test('budgets as pixels or as "edges", at the root or under image_processor', () => {
    const budget = { minPixels: 64, maxPixels: 4096 };
    expect(resolvePreprocessorConfig({ min_pixels: 64, max_pixels: 4096 })).toMatchObject(budget);
    expect(resolvePreprocessorConfig({ size: { shortest_edge: 64, longest_edge: 4096 } })).toMatchObject(budget);
    expect(
      resolvePreprocessorConfig({ image_processor: { size: { shortest_edge: 64, longest_edge: 4096 } } }),
    ).toMatchObject(budget);
    expect(resolvePreprocessorConfig({ min_pixels: 64, size: { shortest_edge: 1, longest_edge: 4096 } })).toMatchObject(
      budget,
    );
  });

  test('generation settings of the published files, and none at all', () => {
    const read = resolveGenerationConfig(readGoldenJson('models/tiny-tied/generation_config.json'), tinyConfig());
    expect(read).toMatchObject({
      doSample: true,
      temperature: 0.1,
      topK: 1,
      topP: 0.001,
      repetitionPenalty: 1.05,
      eosTokenIds: [458, 456],
    });
    expect(resolveGenerationConfig(undefined, tinyConfig())).toMatchObject({
      doSample: false,
      repetitionPenalty: 1,
      eosTokenIds: tinyConfig().eosTokenIds,
    });
  });
});

describe('parameter count', () => {
  // Published totals, in millions.
  test.each([
    ['qwen2.5-vl-3b', 3754.6, 668.7],
    ['qwen2.5-vl-7b', 8292.2, 676.6],
    ['qwen2.5-vl-32b', 33452.7, 688.8],
    ['qwen2.5-vl-72b', 73410.8, 704.6],
  ] as const)('%s', (name, total, vision) => {
    expect(parameterCount(presets[name]()) / 1e6).toBeCloseTo(total, 0);
    expect(visionParameterCount(presets[name]()) / 1e6).toBeCloseTo(vision, 0);
  });

  test('the tiny model', () => {
    expect(parameterCount(tinyConfig())).toBeLessThan(1_000_000);
  });
});

describe('refusals', () => {
  const good = (): Json => JSON.parse(JSON.stringify(toHuggingFaceConfig(tinyConfig()))) as Json;

  test.each<readonly [Json, RegExp]>([
    [{ model_type: 'llama' }, /model_type "llama" is not supported; supported: qwen2_5_vl/],
    [{ model_type: undefined }, /model_type undefined is not supported/],
    [{ hidden_size: 2 ** 40 }, /hidden_size: .*<=65536 \(got 1099511627776\)/],
    [{ num_hidden_layers: 1e9 }, /num_hidden_layers/],
    [{ hidden_size: 96.5 }, /hidden_size/],
    [{ hidden_size: '96' }, /hidden_size: .* \(got "96"\)/],
    [
      { num_attention_heads: 5 },
      /hidden_size 96 must be a multiple of num_attention_heads 5|multiple of num_key_value_heads/,
    ],
    [{ num_key_value_heads: 4 }, /num_attention_heads 6 must be a multiple of num_key_value_heads 4/],
    [{ hidden_act: 'gelu' }, /hidden_act: the only supported activation is "silu" \(got "gelu"\)/],
    [{ use_sliding_window: true }, /use_sliding_window: sliding-window attention is not supported/],
    [{ layer_types: ['full_attention', 'sliding_attention'] }, /layer_types\.1: sliding-window/],
    [{ attention_dropout: 0.1 }, /attention_dropout/],
    [
      { rope_scaling: { type: 'yarn', mrope_section: [2, 3, 3] } },
      /rope type "yarn" is not supported; supported: mrope, default/,
    ],
    [
      { rope_scaling: { type: 'mrope', mrope_section: [2, 3, 4] } },
      /mrope_section \[2, 3, 4\] must sum to half of head_dim 16/,
    ],
    [{ rope_scaling: { type: 'mrope' } }, /rope_scaling\.mrope_section/],
    [{ rope_scaling: null }, /rope_scaling \(or rope_parameters\) is missing/],
    [{ rope_scaling: { type: 'mrope', mrope_section: [2, 3, 3], mrope_interleaved: true } }, /interleaved mRoPE/],
    [{ quantization_config: { quant_method: 'bitsandbytes' } }, /quant_method "bitsandbytes" is not supported/],
    [{ image_token_id: 512 }, /image_token_id 512 must be below vocab_size 512/],
    [
      { vision_config: { ...(good()['vision_config'] as Json), hidden_size: 66 } },
      /vision_config\.hidden_size 66 must be a multiple/,
    ],
    [
      { vision_config: { ...(good()['vision_config'] as Json), window_size: 20 } },
      /window_size 20 px is smaller than one merged patch of 28 px/,
    ],
    [
      { vision_config: { ...(good()['vision_config'] as Json), fullatt_block_indexes: [7] } },
      /names block 7, but depth is 4/,
    ],
    [
      { vision_config: { ...(good()['vision_config'] as Json), out_hidden_size: 64 } },
      /out_hidden_size 64 must equal the text hidden_size 96/,
    ],
    [{ vision_config: 'none' }, /vision_config/],
  ])('%j', (change, message) => {
    const run = (): unknown => resolveConfig({ ...good(), ...change }, 'config.json');
    expect(run).toThrow(message);
    expect(run).toThrow(ConfigError);
    expect(run).toThrow(/^config\.json: [^\n]*$/);
  });

  test('a model of absurd size whose parts are each possible', () => {
    const vision = { ...(good()['vision_config'] as Json), out_hidden_size: 65536 };
    const giant = {
      ...good(),
      hidden_size: 65536,
      head_dim: 16,
      intermediate_size: 2 ** 19,
      num_hidden_layers: 1024,
      vision_config: vision,
    };
    expect(() => resolveConfig(giant)).toThrow(/describes a model of \S+ parameters, above the limit/);
  });

  test.each<readonly [Json, RegExp]>([
    [{ min_pixels: 100, max_pixels: 50 }, /min_pixels 100 must not exceed max_pixels 50/],
    [{ max_pixels: 1e12 }, /max_pixels/],
    [{ min_pixels: 0 }, /min_pixels/],
    [{ patch_size: 0 }, /patch_size/],
    [{ image_std: [1, 0, 1] }, /image_std \[1, 0, 1\] must lie within 0.000001 and 1000000/],
    [{ image_mean: [1, 9e37, 1] }, /image_mean \[1, 9e\+37, 1\] must lie within ±1000000/],
    [{ image_mean: [0.5, 0.5] }, /image_mean and image_std need 3 numbers/],
    [{ resample: 2 }, /3 \(bicubic\) is the only supported resampling \(got 2\)/],
    [{ do_normalize: false }, /do_normalize/],
  ])('preprocessor %j', (change, message) => {
    expect(() => resolvePreprocessorConfig(change)).toThrow(message);
    expect(() => resolvePreprocessorConfig(change)).toThrow(ConfigError);
  });

  test('a preprocessor of another model', () => {
    const other = { ...tinyPreprocessorConfig(), patchSize: 16 };
    expect(() => checkPreprocessorFitsModel(other, tinyConfig())).toThrow(
      /patch_size 16 does not fit config\.json vision_config\.patch_size 14/,
    );
    expect(() => checkPreprocessorFitsModel(tinyPreprocessorConfig(), tinyConfig())).not.toThrow();
  });

  test('any JSON, and any value in any field, gives a configuration or a ConfigError of one line', () => {
    const resolvers: readonly ((json: unknown) => unknown)[] = [
      (json) => resolveConfig(json),
      (json) => resolvePreprocessorConfig(json),
      (json) => resolveGenerationConfig(json, tinyConfig()),
    ];
    const wild = fc.oneof(
      fc.jsonValue(),
      fc.double(),
      fc.integer(),
      fc.constantFrom('mrope', null, 1e308, -1, [], {}, '\n\u202e'),
    );
    const changed = fc
      .tuple(fc.constantFrom(...Object.keys(good())), wild)
      .map(([key, value]) => ({ ...good(), [key]: value }));
    const visionChanged = fc
      .tuple(fc.constantFrom(...Object.keys(good()['vision_config'] as Json)), wild)
      .map(([key, value]) => ({ ...good(), vision_config: { ...(good()['vision_config'] as Json), [key]: value } }));
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), changed, visionChanged), fc.constantFrom(...resolvers), (json, resolve) => {
        try {
          resolve(json);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          expect((error as Error).message).toMatch(/^\P{Cc}{1,601}$/u);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('video_preprocessor_config.json', () => {
  test('its pixel limits, by any of their names; what it does not say is left to the processor', () => {
    expect(resolveVideoSettings({ min_pixels: 100, max_pixels: 200 })).toEqual({ minPixels: 100, maxPixels: 200 });
    expect(resolveVideoSettings({ size: { shortest_edge: 7, longest_edge: 9 } })).toEqual({
      minPixels: 7,
      maxPixels: 9,
    });
    expect(resolveVideoSettings({ do_sample_frames: false })).toEqual({});
    expect(() => resolveVideoSettings({ min_pixels: 3, max_pixels: 2 })).toThrow('min_pixels 3 must not exceed');
    expect(() => resolveVideoSettings([])).toThrow(ConfigError);
  });
});
