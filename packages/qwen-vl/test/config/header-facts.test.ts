/** What tensor headers say about a configuration: it completes a config.json, and nothing may contradict it. */
import { bytesSource, openCheckpoint } from '@mindseye/tensor-core';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { presets } from '../../src/config/presets.js';
import { resolveQuantizationConfig } from '../../src/config/quantization-config.js';
import { resolveConfig } from '../../src/config/resolve-config.js';
import { toHuggingFaceConfig } from '../../src/config/serialize-config.js';
import type { Qwen2_5_VLConfig, TensorShapes } from '../../src/config/types.js';
import { ConfigError } from '../../src/errors.js';
import { shapesOf } from '../../src/load/stored-modules.js';
import { parameterShapes } from '../../src/model/parameters.js';
import { microConfig } from '../load/support/checkpoints.js';
import { goldenPath, readGoldenJson } from '../support/golden.js';

type Json = Record<string, unknown>;

const config: fc.Arbitrary<Qwen2_5_VLConfig> = fc
  .record({
    heads: fc.integer({ min: 1, max: 3 }),
    keyValueHeads: fc.integer({ min: 1, max: 2 }),
    layers: fc.integer({ min: 1, max: 12 }),
    depth: fc.integer({ min: 1, max: 12 }),
    intermediate: fc.integer({ min: 1, max: 40 }),
    patch: fc.integer({ min: 1, max: 5 }),
    tied: fc.boolean(),
  })
  .map(microConfig);

const textFields = [
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'tie_word_embeddings',
] as const;
const visionFields = [
  'depth',
  'hidden_size',
  'intermediate_size',
  'in_chans',
  'in_channels',
  'out_hidden_size',
  'patch_size',
  'temporal_patch_size',
  'spatial_merge_size',
] as const;

const jsonOf = (value: Qwen2_5_VLConfig): Json => JSON.parse(JSON.stringify(toHuggingFaceConfig(value))) as Json;
const without = (json: Json, fields: readonly string[]): Json =>
  Object.fromEntries(Object.entries(json).filter(([key]) => !fields.includes(key)));

describe('a config.json beside its weights', () => {
  test('may leave out whatever the shapes tell', () => {
    fc.assert(
      fc.property(config, fc.subarray([...textFields]), fc.subarray([...visionFields]), (value, text, vision) => {
        const json = jsonOf(value);
        const cut = { ...without(json, text), vision_config: without(json['vision_config'] as Json, vision) };
        expect(resolveConfig(cut, 'config.json', parameterShapes(value))).toEqual(value);
      }),
    );
  });

  test('may not say anything else', () => {
    fc.assert(
      fc.property(
        config,
        fc.oneof(
          fc.constantFrom(...textFields.slice(0, 6)).map((field) => ['', field] as const),
          fc.constantFrom(...visionFields).map((field) => ['vision_config.', field] as const),
        ),
        fc.integer({ min: 1, max: 100 }),
        (value, [place, field], wrong) => {
          const json = { ...jsonOf(value), head_dim: value.textConfig.headDim };
          const part = (place === '' ? json : json['vision_config' as never]) as Json;
          const right = part[field];
          fc.pre(right !== wrong);
          part[field] = wrong;
          const run = (): unknown => resolveConfig(json, 'folder/config.json', parameterShapes(value));
          expect(run).toThrow(ConfigError);
          expect(run).toThrow(
            `folder/config.json: ${place}${field} is ${wrong}, the tensors of the checkpoint make it ${String(right)}`,
          );
        },
      ),
    );
  });

  test('says tied where there is no head, and names both when it does not', () => {
    const tied = presets.tiny();
    const shapes = parameterShapes(tied);
    expect(() => resolveConfig({ ...jsonOf(tied), tie_word_embeddings: false }, 'c.json', shapes)).toThrow(
      /^c\.json: tie_word_embeddings is false, but the checkpoint has no lm_head\.weight/,
    );
    const untied = parameterShapes({ ...tied, tieWordEmbeddings: false });
    expect(resolveConfig(jsonOf(tied), 'c.json', untied).tieWordEmbeddings).toBe(true);
    expect(resolveConfig(without(jsonOf(tied), ['tie_word_embeddings']), 'c.json', untied).tieWordEmbeddings).toBe(
      false,
    );
  });

  test('the fact names its tensor', () => {
    const value = presets['qwen2.5-vl-3b']();
    expect(() => resolveConfig({ ...jsonOf(value), hidden_size: 3584 }, 'c.json', parameterShapes(value))).toThrow(
      'c.json: hidden_size is 3584, the tensors of the checkpoint make it 2048 (model.language_model.norm.weight has shape [2048])',
    );
  });

  test.each(['awq', 'gptq', 'gptq-v2', 'mlx', 'compressed-tensors'])('packed as %s', async (format) => {
    const json = readGoldenJson<Json>(`quantized/${format}/config.json`);
    const source = await openCheckpoint(async (name) =>
      bytesSource(readFileSync(goldenPath(`quantized/${format}/${name}`))),
    );
    const shapes: TensorShapes = shapesOf(source, resolveQuantizationConfig(json));
    const whole = resolveConfig(json);
    expect(resolveConfig(json, 'config.json', shapes)).toEqual(whole);
    const known = parameterShapes(whole);
    for (const [name, shape] of known) if (shapes.has(name)) expect([name, shapes.get(name)]).toEqual([name, shape]);
    if (format === 'compressed-tensors') return;
    expect([...known.keys()].filter((name) => !shapes.has(name))).toEqual([]);
    expect(resolveConfig(without(json, textFields), 'config.json', shapes)).toEqual(whole);
  });
});

describe('no headers', () => {
  test('what a file leaves out of text_config is looked for at its root', () => {
    const value = presets.tiny();
    const json = jsonOf(value);
    const nested = { ...json, text_config: { model_type: 'qwen2_5_vl_text', hidden_size: 96, rope_scaling: null } };
    expect(resolveConfig(nested)).toEqual(value);
    expect(() => resolveConfig({ ...nested, text_config: { hidden_size: 48 } })).toThrow(ConfigError);
  });
});
