/** MLX, AWQ, GPTQ and compressed-tensors folders written in numpy stand for the numbers that numpy says. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  type SafetensorsCheckpoint,
  type Tensor,
  type Weight,
  bytesSource,
  createReferenceDevice,
  dequantize,
  isQuantized,
  openCheckpoint,
  widenF16,
} from '@mindseye/tensor-core';
import { describe, expect, test } from 'vitest';
import { resolveQuantizationConfig } from '../../src/config/quantization-config.js';
import { resolveConfig } from '../../src/config/resolve-config.js';
import type { LoadOptions } from '../../src/load/load-weights.js';
import { loadWeights } from '../../src/load/load-weights.js';
import { inspectCheckpoint } from '../../src/load/plan-checkpoint.js';
import { shapesOf } from '../../src/load/stored-modules.js';
import { canonicalName, parameterShapes } from '../../src/model/parameters.js';
import { goldenPath, readGoldenJson } from '../support/golden.js';

const formats = ['mlx', 'awq', 'gptq', 'gptq-v2', 'compressed-tensors'] as const;
type Format = (typeof formats)[number];

/** What down_proj and others become that a `QuantizedTensor` cannot hold. */
const dequantised: Readonly<Record<Format, readonly string[]>> = {
  mlx: [],
  awq: [],
  gptq: ['model.language_model.layers.0.mlp.down_proj.weight'],
  'gptq-v2': ['model.language_model.layers.0.mlp.down_proj.weight'],
  'compressed-tensors': [],
};

const open = (format: Format, file = 'model.safetensors'): Promise<SafetensorsCheckpoint> =>
  openCheckpoint(async (name) => bytesSource(readFileSync(goldenPath(`quantized/${format}/${name}`))), {
    fileName: file,
  });

async function load(format: Format, options: LoadOptions = {}): ReturnType<typeof loadWeights> {
  const json = readGoldenJson<unknown>(`quantized/${format}/config.json`);
  const quantization = resolveQuantizationConfig(json);
  const source = await open(format);
  const config = resolveConfig(json, 'config.json', shapesOf(source, quantization));
  return loadWeights(source, config, { ...options, quantization });
}

async function numbersOf(weight: Weight): Promise<Float32Array> {
  const device = createReferenceDevice();
  if (isQuantized(weight)) return (await dequantize(weight).data(device)) as Float32Array;
  const data = await weight.data(device);
  return weight.dtype === 'f16' ? widenF16(data as Uint16Array) : (data as Float32Array);
}

/** f32 after f16. */
const toF16 = (values: Float32Array): number[] => [...values].map((value) => Math.f16round(value));

describe.each(formats)('%s', (format) => {
  const digests = readGoldenJson<{ sha256: Record<string, string> }>(`quantized/${format}/dense.json`).sha256;

  test.each([undefined, 1, 700])('every packed matrix to the last bit, in windows of %s bytes', async (windowBytes) => {
    const { weights, report } = await load(format, windowBytes === undefined ? {} : { windowBytes });
    expect(report.dequantised.map(({ name }) => name)).toEqual(dequantised[format]);
    expect(report).toMatchObject({ missing: [], mismatched: [] });
    const rows = await open(format, 'dense.safetensors');
    for (const [stored, digest] of Object.entries(digests)) {
      const name = canonicalName(stored);
      const weight = weights[name]!;
      const values = await numbersOf(weight);
      const columns = rows.info(stored).shape[1]!;
      const expected = await rows.readFloat32(stored);
      const sampled = values.filter((_, i) => Math.floor(i / columns) % 8 === 0);
      if (dequantised[format].includes(name)) {
        expect([...sampled]).toEqual(toF16(expected));
        continue;
      }
      expect(isQuantized(weight)).toBe(true);
      expect([...sampled]).toEqual([...expected]);
      expect(createHash('sha256').update(values).digest('hex')).toBe(digest);
    }
  });

  test('to f32 and f16 where that is asked for', async () => {
    const kept = await load(format);
    const { weights, report } = await load(format, { dtype: 'f32', windowBytes: 600 });
    const half = await load(format, { dtype: 'f16' });
    expect(report.dequantised).toEqual([]);
    for (const [stored, digest] of Object.entries(digests)) {
      const name = canonicalName(stored);
      expect((weights[name] as Tensor).dtype).toBe('f32');
      const values = await numbersOf(weights[name]!);
      expect(createHash('sha256').update(values).digest('hex')).toBe(digest);
      expect([...(await numbersOf(half.weights[name]!))]).toEqual(toF16(values));
    }
    // A precision that quantises leaves alone what is quantised.
    const again = await load(format, { dtype: { bits: 8, groupSize: 32 }, device: createReferenceDevice() });
    for (const stored of Object.keys(digests)) {
      const [before, after] = [kept, again].map((loaded) => loaded.weights[canonicalName(stored)]!);
      expect(Object.keys(after!)).toEqual(Object.keys(before!));
    }
    expect(isQuantized(again.weights['model.visual.merger.mlp.0.weight'])).toBe(true);
  });

  test('every other tensor as it is in the file, vectors and the patch kernel in f32', async () => {
    const { weights } = await load(format);
    const source = await open(format);
    const dense = source.names().filter((name) => source.info(name).dtype === 'F16' && /\.(weight|bias)$/.test(name));
    expect(dense.length).toBeGreaterThan(20);
    for (const stored of dense) {
      const weight = weights[canonicalName(stored)]!;
      const values = await numbersOf(weight);
      const expected = await source.readFloat32(stored);
      if (isQuantized(weight)) throw new Error(`${stored} is dense`);
      if (weight.rank !== 2) expect(weight.dtype).toBe('f32');
      if (weight.rank === 5 && format === 'mlx') expect(values.toSorted()).toEqual(expected.toSorted());
      else expect(values).toEqual(expected);
    }
  });

  test('the report', async () => {
    const json = readGoldenJson<unknown>(`quantized/${format}/config.json`);
    const source = await open(format);
    const config = resolveConfig(json);
    const report = inspectCheckpoint(source, config, { quantization: resolveQuantizationConfig(json) });
    expect(report).toMatchObject({
      loaded: parameterShapes(config).size,
      missing: [],
      unexpected: [],
      mismatched: [],
      layout: format === 'mlx' ? 'mlx' : 'old',
    });
    const packed = Object.keys(digests).length;
    const method = format === 'gptq-v2' ? 'gptq' : format;
    expect(report.formats).toEqual({ dense: report.loaded - packed, [method]: packed });
    expect(report.bytes).toBe(source.names().reduce((total, name) => total + source.info(name).byteLength, 0));
  });
});

test("MLX's patch kernel has its channels last", async () => {
  const { weights } = await load('mlx');
  const kernel = weights['model.visual.patch_embed.proj.weight']!;
  const values = await numbersOf(kernel);
  const source = await open('mlx');
  const stored = await source.readFloat32('vision_tower.patch_embed.proj.weight');
  const [out, time, height, width, channels] = source.info('vision_tower.patch_embed.proj.weight').shape as number[];
  const at = (o: number, t: number, y: number, x: number, c: number): number =>
    stored[(((o * time! + t) * height! + y) * width! + x) * channels! + c]!;
  const expected: number[] = [];
  for (let o = 0; o < out!; o++)
    for (let c = 0; c < channels!; c++)
      for (let t = 0; t < time!; t++)
        for (let y = 0; y < height!; y++) for (let x = 0; x < width!; x++) expected.push(at(o, t, y, x, c));
  expect([...values]).toEqual(expected);
});

test('MLX without its config.json says its widths by itself', async () => {
  const json = readGoldenJson<Record<string, unknown>>('quantized/mlx/config.json');
  const { weights } = await loadWeights(await open('mlx'), resolveConfig(json));
  expect(weights['lm_head.weight']).toMatchObject({ bits: 8, groupSize: 64 });
});

test('GPTQ keeps groups that are shuffled whole, and symmetric ones without offsets', async () => {
  const { weights, report } = await load('gptq');
  const layer = 'model.language_model.layers.0';
  expect(isQuantized(weights[`${layer}.self_attn.q_proj.weight`])).toBe(true);
  expect(weights[`${layer}.self_attn.v_proj.weight`]).not.toHaveProperty('offsets');
  expect(report.dequantised[0]!.reason).toMatch(/activation order \(g_idx\)/);
});

test('AWQ and GPTQ without a word in config.json are refused', async () => {
  for (const format of ['awq', 'gptq'] as const) {
    const json = readGoldenJson<Record<string, unknown>>(`quantized/${format}/config.json`);
    await expect(loadWeights(await open(format), resolveConfig(json), { location: 'here' })).rejects.toThrow(
      /^here: model\.language_model\.layers\.0\.self_attn\.q_proj\.qweight is packed as AWQ or GPTQ do, and config\.json does not say which/,
    );
  }
});

test('MLX widths that config.json contradicts are refused', async () => {
  const json = readGoldenJson<Record<string, unknown>>('quantized/mlx/config.json');
  const quantization = resolveQuantizationConfig({ quantization: { bits: 8, group_size: 64 } });
  await expect(loadWeights(await open('mlx'), resolveConfig(json), { quantization })).rejects.toThrow(
    /those of 4 bits in groups of 32, config\.json says 8 in groups of 64/,
  );
});
