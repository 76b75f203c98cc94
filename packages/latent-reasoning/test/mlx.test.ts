/** Adapters of MLX are the same adapters as those of PEFT, square matrices included; what is no plain LoRA is refused. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { InvalidInputError, parameterShapes } from '@mindseye/qwen-vl';
import { type SafetensorsEntry, SafetensorsReader, bytesSource, safetensorsBytes, tensor } from '@mindseye/tensor-core';
import { writeSafetensors } from '@mindseye/tensor-core/node';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkAdapterFits, isMlxAdapter, readAdapter, readMlxAdapter, withAdapter } from '../src/index.js';
import { loadAdapter } from '../src/node.js';
import { microConfig, microWeights } from './support/micro.js';

const device = createWasmDevice();
const sourceOf = async (entries: readonly SafetensorsEntry[]): Promise<SafetensorsReader> =>
  SafetensorsReader.open(bytesSource(await safetensorsBytes(entries)), 'adapters.safetensors');
const entry = (name: string, rows: number, columns: number, data: Float32Array): SafetensorsEntry => ({
  name,
  dtype: 'F32',
  shape: [rows, columns],
  data,
});

/** Both files, as each tool writes them. */
const tools = {
  'mlx-lm': {
    endings: ['lora_a', 'lora_b'],
    prefix: 'language_model.model.layers',
    config: (rank: number, scale: number) => ({
      fine_tune_type: 'lora',
      num_layers: 16,
      lora_parameters: { rank, scale, dropout: 0.1 },
    }),
  },
  'mlx-vlm': {
    endings: ['A', 'B'],
    prefix: 'language_model.model.layers',
    config: (rank: number, alpha: number) => ({ rank, alpha, dropout: 0.1 }),
  },
  'mlx-lm for a text model': {
    endings: ['lora_a', 'lora_b'],
    prefix: 'model.layers',
    config: (rank: number, scale: number) => ({ lora_parameters: { rank, scale } }),
  },
} as const;

describe.each(Object.entries(tools))('%s', (_name, { endings, prefix, config }) => {
  test('y + scale · (x·a)·b, for any sizes', async () => {
    const layer = 'model.language_model.layers.1.mlp.up_proj';
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rank: fc.integer({ min: 1, max: 20 }),
          scale: fc.constantFrom(0.1, 2, 20),
          numbers: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 7, maxLength: 40 }),
        }),
        async ({ rank, scale, numbers }) => {
          const [inputs, outputs] = [16, 20];
          const value = (i: number): number => Math.fround(numbers[i % numbers.length]! + (i % 5) * 0.1);
          const a = Float32Array.from({ length: inputs * rank }, (_, i) => value(i));
          const b = Float32Array.from({ length: rank * outputs }, (_, i) => value(3 * i + 1));
          const x = Float32Array.from({ length: inputs }, (_, i) => value(5 * i + 2));
          const source = await sourceOf([
            entry(`${prefix}.1.mlp.up_proj.${endings[0]}`, inputs, rank, a),
            entry(`${prefix}.1.mlp.up_proj.${endings[1]}`, rank, outputs, b),
          ]);
          expect(isMlxAdapter(source)).toBe(true);
          const adapter = await readAdapter(config(rank, scale), source);
          expect(checkAdapterFits(adapter, parameterShapes(microConfig))).toEqual({
            matched: 2,
            unmatched: [],
            untargeted: [],
            untouched: [],
          });
          const hook = withAdapter({ config: microConfig, weights: microWeights() }, adapter).linearHook!;
          const zero = tensor(new Float32Array(outputs), [1, outputs]);
          const y = await hook(layer, tensor(x, [1, inputs]), () => zero).data(device);
          const inner = Array.from({ length: rank }, (_, r) =>
            x.reduce((sum, own, i) => sum + own * a[i * rank + r]!, 0),
          );
          for (let out = 0; out < outputs; out++) {
            const expected = scale * inner.reduce((sum, own, r) => sum + own * b[r * outputs + out]!, 0);
            expect(Math.abs(y[out]! - expected)).toBeLessThan(1e-3 * Math.max(1, Math.abs(expected)));
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});

test('layers of different ranks keep the one scale', async () => {
  const source = await sourceOf([
    entry('model.layers.0.self_attn.q_proj.lora_a', 16, 2, new Float32Array(32)),
    entry('model.layers.0.self_attn.q_proj.lora_b', 2, 16, new Float32Array(32)),
    entry('model.layers.1.self_attn.q_proj.lora_a', 16, 5, new Float32Array(80)),
    entry('model.layers.1.self_attn.q_proj.lora_b', 5, 16, new Float32Array(80)),
  ]);
  const { config } = await readMlxAdapter({ lora_parameters: { scale: 3 } }, source);
  expect(config).toMatchObject({ rank: 2, alpha: 6 });
  expect(Object.values(config.rankPattern!)).toEqual([5]);
  expect(Object.values(config.alphaPattern!)).toEqual([15]);
});

test('a folder of MLX opens like one of PEFT', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'mindseye-mlx-'));
  try {
    await writeSafetensors(path.join(folder, 'adapters.safetensors'), [
      entry('model.layers.0.mlp.up_proj.lora_a', 16, 1, new Float32Array(16).fill(1)),
      entry('model.layers.0.mlp.up_proj.lora_b', 1, 20, new Float32Array(20).fill(1)),
    ]);
    await writeFile(path.join(folder, 'adapter_config.json'), JSON.stringify({ lora_parameters: { scale: 10 } }));
    const { lora, config } = await loadAdapter(folder);
    expect(Object.keys(lora)).toEqual(['model.language_model.layers.0.mlp.up_proj']);
    expect(config.alpha).toBe(10);
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe('refused', () => {
  const half = entry('model.layers.0.mlp.up_proj.lora_a', 16, 2, new Float32Array(32));
  const whole = [half, entry('model.layers.0.mlp.up_proj.lora_b', 2, 20, new Float32Array(40))];
  test.each<[string, unknown, readonly SafetensorsEntry[], RegExp]>([
    ['DoRA', { fine_tune_type: 'dora', lora_parameters: { scale: 1 } }, whole, /has neither lora_parameters\.scale/],
    ['no scale', { lora_parameters: { rank: 2 } }, whole, /has neither lora_parameters\.scale/],
    ['no settings', null, whole, /has neither lora_parameters\.scale/],
    ['half a pair', { lora_parameters: { scale: 1 } }, [half], /up_proj needs both halves/],
    [
      'halves of two ranks',
      { lora_parameters: { scale: 1 } },
      [half, entry('model.layers.0.mlp.up_proj.lora_b', 4, 10, new Float32Array(40))],
      /up_proj needs both halves/,
    ],
    [
      'a vector',
      { lora_parameters: { scale: 1 } },
      [{ name: 'model.layers.0.mlp.up_proj.lora_a', dtype: 'F32', shape: [4], data: new Float32Array(4) }],
      /has shape \[4\]; adapters are matrices/,
    ],
  ])('%s', async (_what, json, entries, message) => {
    const error: unknown = await readAdapter(json, await sourceOf(entries), 'run/adapter').catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(InvalidInputError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toMatch(/^run\/adapter: [^\n]+$/);
  });
});
