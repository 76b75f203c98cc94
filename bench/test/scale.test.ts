/** That the scale check runs and what it reports. How fast anything is decides no test. */
import { presets } from '@mindseye/qwen-vl';
import { cast, dequantize, isQuantized } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { expect, test } from 'vitest';
import { benchmarks } from '../src/benchmarks.ts';
import { describeResult, runBenchmark } from '../src/run-benchmark.ts';
import { matrixBytes, randomModel } from '../src/scale/random-weights.ts';

test('a quick scale check gives times, memory and the steps of each program', async () => {
  const benchmark = benchmarks['scale']!;
  const result = await runBenchmark('scale', benchmark, { quick: true }, () => {});
  expect(result.failures).toEqual({});
  const { metrics, details } = result.subjects[0]!;
  expect(result.goals).toMatchObject([
    { measured: expect.any(Number), verdict: expect.stringMatching(/^(met|missed)$/) },
  ]);
  expect(Object.keys(metrics)).toEqual([
    'vision tower: s',
    'prompt: s',
    'prompt: tokens/s',
    'decoding: ms per token',
    'decoding: tokens/s',
  ]);
  for (const [name, { median }] of Object.entries(metrics)) expect(median, name).toBeGreaterThan(0);
  expect(details).toMatchObject({
    storage: { decoder: 4, table: 8, vision: 'bf16' },
    programs: {
      vision: { arenaBytes: expect.any(Number), ops: { linear: expect.any(Number) } },
      // Seven matrices of the one layer, and the head.
      prefill: { ops: { quantizedLinear: 8 } },
      decode: { ops: { quantizedLinear: 8 } },
    },
    memory: { peakMiB: expect.any(Number), peakRssMiB: expect.any(Number) },
  });
  expect(describeResult(benchmark, result)).toMatch(/decoding: ms per token.*ms/);
});

test('the true shape needs 1.9 GB for a mixed language model, 1.3 for the tower, and 7.5 in bf16', () => {
  const config = presets['qwen2.5-vl-3b']();
  const bytes = (decoder: 4 | 'bf16', table: 8 | 'bf16') => matrixBytes(config, { decoder, table, vision: 'bf16' });
  expect(bytes('bf16', 'bf16') / 1e9).toBeCloseTo(7.5, 1);
  expect(bytes(4, 8) / 1e9).toBeCloseTo(1.89 + 1.33, 1);
});

test.each([
  { decoder: 4, table: 8, vision: 'bf16' },
  { decoder: 8, table: 'f32', vision: 4 },
] as const)('weights have deviation 1/√columns and bytes as counted: $decoder, $table, $vision', async (storage) => {
  const device = createWasmDevice();
  const tiny = presets.tiny();
  const config = { ...tiny, textConfig: { ...tiny.textConfig, hiddenSize: 128, numAttentionHeads: 8 } };
  const { weights, bytes } = await randomModel(config, storage, device);
  expect(bytes.decoder + bytes.table + bytes.vision).toBe(matrixBytes(config, storage));
  const wanted: readonly (readonly [string, number])[] = [
    ['model.language_model.layers.0.mlp.gate_proj.weight', 1 / Math.sqrt(128)],
    ['model.language_model.layers.0.mlp.down_proj.weight', 1 / Math.sqrt(256 * 2 * 4)],
    ['model.language_model.embed_tokens.weight', 1 / Math.sqrt(128)],
    ['model.visual.blocks.0.attn.qkv.weight', 1 / Math.sqrt(64)],
  ];
  for (const [name, deviation] of wanted) {
    const weight = weights[name]!;
    const values = Float32Array.from(
      await (isQuantized(weight) ? dequantize(weight) : cast(weight, 'f32')).data(device),
    );
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean), name).toBeLessThan(0.05 * deviation);
    expect(Math.sqrt(variance) / deviation, name).toBeCloseTo(1, 1);
  }
});

test('where no room is left, the tensor and how far it came are named', async () => {
  const memory = new WebAssembly.Memory({ initial: 32, maximum: 40 });
  const storage = { decoder: 'f32', table: 'f32', vision: 'f32' } as const;
  await expect(randomModel(presets.tiny(), storage, createWasmDevice({ memory }))).rejects.toThrow(
    /^\S+ \[[\d, ]+\] found no room after \d+ bytes of weights; all matrices take \d+: the WebAssembly memory holds/,
  );
});
