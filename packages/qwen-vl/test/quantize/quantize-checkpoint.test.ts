import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {
  type SafetensorsDtype,
  SafetensorsReader,
  type QuantizedTensor,
  type Tensor,
  type TensorSource,
  bytesSource,
  createReferenceDevice,
  dequantize,
  f32ToBf16,
  f32ToF16,
  isQuantized,
  quantize,
  safetensorsBytes,
  tensor,
} from '@mindseye/tensor-core';
import { openCheckpointFolder } from '@mindseye/tensor-core/node';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyConfig } from '../../src/config/presets.js';
import { resolveQuantizationConfig } from '../../src/config/quantization-config.js';
import { resolveConfig } from '../../src/config/resolve-config.js';
import type { Qwen2_5_VLConfig } from '../../src/config/types.js';
import { loadWeights } from '../../src/load/load-weights.js';
import { parameterShapes } from '../../src/model/parameters.js';
import { saveCheckpoint } from '../../src/node/save-checkpoint.js';
import { type QuantizationPolicy, planQuantization } from '../../src/quantize/policy.js';
import { quantizeCheckpoint } from '../../src/quantize/quantize-checkpoint.js';
import { quantizedConfigJson, unquantizedConfig } from '../../src/quantize/quantized-config.js';
import { createMatrixQuantizer } from '../../src/quantize/window-quantizer.js';
import { goldenPath, readGoldenJson } from '../support/golden.js';

const device = createWasmDevice();

const models = ['tiny-tied', 'tiny-untied'] as const;
const configOf = (model: string): Qwen2_5_VLConfig => resolveConfig(readGoldenJson(`models/${model}/config.json`));
const openGolden = (model: string): Promise<TensorSource> => openCheckpointFolder(goldenPath(`models/${model}`));

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'quantize-checkpoint-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** One stored matrix as a source. */
async function sourceOf(
  dtype: SafetensorsDtype,
  shape: readonly number[],
  data: Float32Array | Float64Array | Uint16Array,
): Promise<TensorSource> {
  const bytes = await safetensorsBytes([{ name: 'x.weight', dtype, shape, data }]);
  return SafetensorsReader.open(bytesSource(bytes), 'x');
}

/** Numbers as a file of each type holds them, and as a tensor. */
const storages: Readonly<
  Partial<Record<SafetensorsDtype, (values: Float32Array) => [data: Float32Array | Float64Array | Uint16Array, Tensor]>>
> = {
  F32: (values) => [values, tensor(values)],
  F64: (values) => [Float64Array.from(values), tensor(values)],
  F16: (values) => [
    Uint16Array.from(values, f32ToF16),
    tensor(Uint16Array.from(values, f32ToF16), undefined, { dtype: 'f16' }),
  ],
  BF16: (values) => [
    Uint16Array.from(values, f32ToBf16),
    tensor(Uint16Array.from(values, f32ToBf16), undefined, { dtype: 'bf16' }),
  ],
};

describe('a matrix in windows', () => {
  test('has the codes, scales and offsets of quantize() on the whole, whatever the window', async () => {
    const cases = fc.record({
      dtype: fc.constantFrom<SafetensorsDtype>('F32', 'F64', 'F16', 'BF16'),
      bits: fc.constantFrom(4 as const, 8 as const),
      groupSize: fc.constantFrom(32 as const, 64 as const, 128 as const),
      scaleDtype: fc.constantFrom('f16' as const, 'bf16' as const),
      rows: fc.integer({ min: 1, max: 9 }),
      groups: fc.integer({ min: 1, max: 3 }),
      window: fc.integer({ min: 1, max: 1200 }),
      seed: fc.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: 3, maxLength: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ dtype, bits, groupSize, scaleDtype, rows, groups, window, seed }) => {
        const columns = groups * groupSize;
        const values = Float32Array.from(
          { length: rows * columns },
          (_, i) => seed[(i * 7) % seed.length]! * Math.sin(i),
        );
        const [data, whole] = storages[dtype]!(values);
        const source = await sourceOf(dtype, [rows, columns], data);
        const found = await createMatrixQuantizer(device, { bits, groupSize, scaleDtype }, window)(source, 'x.weight');
        const shaped = tensor((await whole.data(createReferenceDevice())).slice(), [rows, columns], {
          dtype: whole.dtype,
        });
        const expected = quantize(shaped, { bits, groupSize, symmetric: false, scaleDtype });
        expect(found.codes).toEqual(await expected.codes.data(device));
        expect(found.scales).toEqual(await expected.scales.data(device));
        expect(found.offsets).toEqual(await expected.offsets!.data(device));
      }),
      { numRuns: 60 },
    );
  });

  test('that holds NaN, infinity or numbers beyond the scales is refused by name', async () => {
    const quantizer = createMatrixQuantizer(device, { bits: 4, groupSize: 32, scaleDtype: 'f16' });
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, -1e6]) {
      const values = new Float32Array(64).fill(0.5);
      values[40] = wrong;
      const source = await sourceOf('F32', [2, 32], values);
      await expect(quantizer(source, 'x.weight')).rejects.toThrow(/tensor x\.weight holds numbers that are not finite/);
    }
  });
});

describe('a checkpoint', () => {
  const policies: readonly QuantizationPolicy[] = [
    { format: 'int8', groupSize: 32 },
    { format: 'int4', groupSize: 32 },
    { format: 'mixed', groupSize: 32, scaleDtype: 'bf16' },
    { format: 'mixed', groupSize: 64, vision: true },
  ];

  test.each(models.flatMap((model) => policies.map((policy) => ({ model, ...policy }))))(
    'of $model as $format in groups of $groupSize loads back as what quantize() gives, and the rest is untouched',
    async ({ model, ...policy }) => {
      const source = await openGolden(model);
      const config = configOf(model);
      const { plan, entries } = quantizeCheckpoint(source, config, { ...policy, device, windowElements: 500 });
      const target = path.join(folder, `${model}-${policy.format}-${policy.groupSize}`);
      const { byteLength } = await saveCheckpoint(target, entries, { shardBytes: 30_000 });
      expect(byteLength).toBe(plan.bytesAfter);
      const saved = await openCheckpointFolder(target);
      const matrices = plan.tensors.filter(({ bits }) => bits !== undefined);
      const json = quantizedConfigJson(readGoldenJson(`models/${model}/config.json`), plan, model);
      const quantization = resolveQuantizationConfig(json);
      const { weights } = await loadWeights(saved, resolveConfig(json), { quantization });
      expect(Object.values(weights).filter(isQuantized).length).toBe(matrices.length);
      expect(saved.names().length).toBe(source.names().length + 2 * matrices.length);
      for (const { name, canonical, info, bits } of plan.tensors) {
        if (bits === undefined) {
          expect(await saved.read(name)).toEqual(await source.read(name));
          continue;
        }
        const [rows, columns] = info.shape as [number, number];
        const { groupSize, scaleDtype } = plan.policy;
        const whole = tensor(await source.readFloat32(name), [rows, columns]);
        const expected = quantize(whole, { bits, groupSize, scaleDtype, symmetric: false });
        const loaded = weights[canonical] as QuantizedTensor;
        expect(loaded).toMatchObject({ bits, groupSize, columns });
        expect(await dequantize(loaded).data(device)).toEqual(await dequantize(expected).data(device));
      }
      await Promise.all([saved.close(), source.close()]);
    },
  );

  test('mixed: 4 bits in the decoder, 8 in embedding and head, vision as it is stored', async () => {
    const source = await openGolden('tiny-untied');
    const { tensors } = planQuantization(source, configOf('tiny-untied'), { format: 'mixed', groupSize: 32 });
    const bits = new Map(tensors.map((planned) => [planned.canonical, planned.bits]));
    // Hidden size 48 and intermediate size 72 are no multiples of 32.
    expect(bits.get('lm_head.weight')).toBeUndefined();
    const tied = await openGolden('tiny-tied');
    const fitting = planQuantization(tied, configOf('tiny-tied'), { format: 'mixed', groupSize: 32 });
    const of = new Map(fitting.tensors.map((planned) => [planned.canonical, planned.bits]));
    expect(of.get('model.language_model.embed_tokens.weight')).toBe(8);
    expect(of.get('model.language_model.layers.0.mlp.down_proj.weight')).toBe(4);
    expect(of.get('model.language_model.layers.0.self_attn.q_proj.bias')).toBeUndefined();
    expect(of.get('model.language_model.norm.weight')).toBeUndefined();
    expect(fitting.tensors.filter(({ canonical, bits: own }) => canonical.startsWith('model.visual') && own)).toEqual(
      [],
    );
    await Promise.all([source.close(), tied.close()]);
  });

  test('the plan of an untied model gives its head 8 bits, and says why a matrix stays dense', async () => {
    const source = await madeUpSource(tinyUntied);
    const { tensors } = planQuantization(source, tinyUntied, { format: 'mixed', groupSize: 64, vision: true });
    const of = new Map(tensors.map((planned) => [planned.canonical, planned]));
    expect(of.get('lm_head.weight')).toMatchObject({ bits: 8 });
    expect(of.get('model.visual.blocks.0.attn.qkv.weight')).toMatchObject({ bits: 8 });
    expect(of.get('model.visual.blocks.0.mlp.down_proj.weight')).toMatchObject({
      bits: undefined,
      isMatrix: true,
      leftDense: 'its 100 columns are not a multiple of the group of 64',
    });
    expect(of.get('model.visual.patch_embed.proj.weight')).toMatchObject({ bits: undefined, isMatrix: false });
  });

  test('config.json says what is quantised how, in the words of MLX, and keeps the rest', async () => {
    const plan = planQuantization(await madeUpSource(tinyUntied), tinyUntied, { format: 'mixed', groupSize: 64 });
    const { quantization, quantization_config, ...rest } = quantizedConfigJson({ model_type: 'x', n: 1 }, plan, 'here');
    expect(rest).toEqual({ model_type: 'x', n: 1 });
    expect(quantization_config).toEqual(quantization);
    expect(quantization).toMatchObject({
      group_size: 64,
      bits: 4,
      mode: 'affine',
      lm_head: { group_size: 64, bits: 8 },
      'model.language_model.embed_tokens': { group_size: 64, bits: 8 },
      'model.visual.blocks.0.attn.qkv': false,
    });
    expect(quantization).not.toHaveProperty('model.language_model.layers.0.mlp.up_proj');
    expect(quantization).not.toHaveProperty('model.visual.patch_embed.proj');
  });

  test('a tied head that is stored beside its table is left out', async () => {
    const tied = { ...tinyUntied, tieWordEmbeddings: true };
    const plan = planQuantization(await madeUpSource(tinyUntied), tied, { format: 'int4' });
    expect(plan.dropped).toEqual(['lm_head.weight']);
    expect(plan.tensors.map(({ name }) => name)).not.toContain('lm_head.weight');
  });

  test('is refused when quantised already, incomplete, of other shapes, or with a wrong policy', async () => {
    const source = await openGolden('tiny-tied');
    const config = configOf('tiny-tied');
    const target = path.join(folder, 'twice');
    await saveCheckpoint(target, quantizeCheckpoint(source, config, { format: 'int4', groupSize: 32, device }).entries);
    const again = await openCheckpointFolder(target);
    const plan = (of: TensorSource, ...[settings, policy]: [Qwen2_5_VLConfig, object]) =>
      planQuantization(of, settings, { format: 'int4', ...policy }, 'there');
    expect(() => plan(again, config, {})).toThrow(
      /^there: it is quantised already .*start from the original checkpoint$/,
    );
    expect(() => plan(source, config, { format: 'int3' })).toThrow(
      /format "int3" does not exist: choose one of int8, int4, mixed/,
    );
    expect(() => plan(source, config, { groupSize: 48 })).toThrow(/a group has 32, 64 or 128 columns, got 48/);
    expect(() => plan(source, tinyConfig(), {})).toThrow(/there: .*do not fit config\.json/);
    const longer = { ...config, textConfig: { ...config.textConfig, numHiddenLayers: 9 } };
    expect(() => plan(source, longer, {})).toThrow(/tensors are missing \(model\.language_model\.layers\.3\./);
    expect(() => unquantizedConfig({ quantization_config: { quant_method: 'awq' } }, 'there')).toThrow(
      /there: it is quantised already \(config\.json has "quantization_config"\)/,
    );
    expect(() => unquantizedConfig(null, 'there')).toThrow(/it must be an object/);
    await Promise.all([again.close(), source.close()]);
  });
});

const tiny = tinyConfig();
/** Untied, with widths that fit groups of 64 except in the vision tower's MLP. */
const tinyUntied: Qwen2_5_VLConfig = {
  ...tiny,
  textConfig: { ...tiny.textConfig, hiddenSize: 128, numHiddenLayers: 1, numAttentionHeads: 8 },
  visionConfig: { ...tiny.visionConfig, depth: 1, intermediateSize: 100, outHiddenSize: 128, fullattBlockIndexes: [0] },
  tieWordEmbeddings: false,
};

/** A checkpoint of zeros in the shapes of a configuration. */
async function madeUpSource(config: Qwen2_5_VLConfig): Promise<TensorSource> {
  const entries = [...parameterShapes(config)].map(([name, shape]) => ({
    name,
    dtype: 'BF16' as const,
    shape,
    data: new Uint16Array(shape.reduce((product, size) => product * size, 1)),
  }));
  return SafetensorsReader.open(bytesSource(await safetensorsBytes(entries)), 'made up');
}
