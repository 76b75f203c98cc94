import { describe, expect, test } from 'vitest';
import { resolveQuantizationConfig } from '../../src/config/quantization-config.js';
import { ConfigError } from '../../src/errors.js';

type Json = Record<string, unknown>;

describe('quantisation in config.json', () => {
  test('none', () => {
    for (const json of [{}, { quantization_config: null }, { quantization: null, hidden_size: 5 }])
      expect(resolveQuantizationConfig(json)).toBeUndefined();
  });

  test('MLX: overrides by module, under any layout of names', () => {
    const quantization = {
      group_size: 64,
      bits: 4,
      mode: 'affine',
      'language_model.lm_head': { group_size: 32, bits: 8 },
      'model.layers.3.mlp.down_proj': false,
      'model.visual.merger.mlp.0': { group_size: 128, bits: 8 },
    };
    const wanted = {
      method: 'mlx',
      standard: { bits: 4, groupSize: 64 },
      modules: new Map<string, unknown>([
        ['lm_head', { bits: 8, groupSize: 32 }],
        ['model.language_model.layers.3.mlp.down_proj', false],
        ['model.visual.merger.mlp.0', { bits: 8, groupSize: 128 }],
      ]),
    };
    expect(resolveQuantizationConfig({ quantization, quantization_config: quantization })).toEqual(wanted);
    expect(resolveQuantizationConfig({ quantization_config: quantization })).toEqual(wanted);
  });

  test.each<readonly [Json, Json]>([
    [
      {
        quant_method: 'awq',
        bits: 4,
        group_size: 128,
        version: 'gemm',
        zero_point: true,
        modules_to_not_convert: ['visual'],
      },
      { method: 'awq' },
    ],
    [{ quant_method: 'awq', version: 'GEMM' }, { method: 'awq' }],
    [
      { quant_method: 'gptq', bits: 4, group_size: 128, desc_act: true, sym: true },
      { method: 'gptq', zeroPointBias: 1 },
    ],
    [
      { quant_method: 'gptq', bits: 8, group_size: -1, checkpoint_format: 'gptq_v2' },
      { method: 'gptq', zeroPointBias: 0 },
    ],
    [
      { quant_method: 'auto-round', bits: 4, packing_format: 'auto_round:auto_gptq' },
      { method: 'gptq', zeroPointBias: 1 },
    ],
    [{ quant_method: 'intel/auto-round', packing_format: 'auto_round:auto_awq' }, { method: 'awq' }],
    [
      {
        quant_method: 'compressed-tensors',
        format: 'pack-quantized',
        config_groups: {
          group_0: { weights: { num_bits: 4, type: 'int', strategy: 'group' }, input_activations: null },
        },
      },
      { method: 'compressed-tensors' },
    ],
  ])('%j', (json, wanted) => {
    expect(resolveQuantizationConfig({ quantization_config: json })).toEqual(wanted);
  });

  test.each<readonly [unknown, RegExp]>([
    [
      { quant_method: 'bitsandbytes', load_in_4bit: true },
      /quant_method "bitsandbytes" is not supported.*take the float16/,
    ],
    [{ load_in_4bit: true }, /quant_method undefined is not supported/],
    [{ quant_method: 'fp8' }, /8-bit floats are not read: take the float16.* quantise it while loading/],
    [{ quant_method: 'gguf' }, /GGUF is no safetensors/],
    [{ quant_method: '__proto__' }, /quant_method "__proto__" is not supported/],
    [{ quant_method: 7 }, /quant_method 7 is not supported; supported: mlx, awq, gptq/],
    [{ bits: 3, group_size: 64 }, /bits: codes of 4 and 8 bits are supported \(got 3\)/],
    [{ bits: 4, group_size: 16 }, /group_size: groups of 32, 64 and 128 columns are supported \(got 16\)/],
    [{ bits: 4, group_size: 32, mode: 'mxfp4' }, /mode: the only supported MLX mode is "affine" \(got "mxfp4"\)/],
    [{ bits: 4, group_size: 32, 'a.b': { bits: 2, group_size: 32 } }, /"a\.b": bits: .*\(got 2\)/],
    [{ quant_method: 'awq', version: 'gemv' }, /version: AWQ is supported in the packing of version "gemm"/],
    [{ quant_method: 'awq', bits: 8 }, /AWQ is supported with 4 bits \(got 8\)/],
    [{ quant_method: 'gptq', bits: 3 }, /GPTQ is supported with 4 and 8 bits \(got 3\)/],
    [{ quant_method: 'auto-round', packing_format: 'auto_round:exllamav2' }, /packing_format: AutoRound/],
    [{ quant_method: 'compressed-tensors', format: 'float-quantized' }, /only supported compressed-tensors format/],
    [
      { quant_method: 'compressed-tensors', config_groups: { a: { input_activations: { num_bits: 8 } } } },
      /quantised activations are not supported/,
    ],
    ['awq', /quantization_config: expected an object \(got "awq"\)/],
  ])('refuses %j', (json, message) => {
    const run = (): unknown => resolveQuantizationConfig({ quantization_config: json }, 'config.json');
    expect(run).toThrow(message);
    expect(run).toThrow(ConfigError);
    expect(run).toThrow(/^config\.json: [^\n]*$/);
  });
});
