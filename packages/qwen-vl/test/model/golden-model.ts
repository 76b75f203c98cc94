/** Readers for the goldens that oracle/ makes from transformers. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SafetensorsReader, bytesSource, openCheckpoint } from '@mindseye/tensor-core';
import { resolveConfig } from '../../src/config/resolve-config.js';
import type { Qwen2_5_VLConfig } from '../../src/config/types.js';
import { loadWeights } from '../../src/load/load-weights.js';
import type { ModelContext } from '../../src/model/context.js';
import type { GridThw } from '../../src/model/rope-index.js';

const root = path.join(import.meta.dirname, '..', 'golden');

export interface GoldenCase {
  readonly model: string;
  readonly case: string;
  readonly input_ids: readonly (readonly number[])[];
  readonly position_ids: readonly (readonly (readonly number[])[])[];
  readonly rope_delta: number;
  readonly image_grid_thw?: readonly GridThw[];
  readonly window_index?: readonly number[];
  readonly cu_window_seqlens?: readonly number[];
  readonly generated_ids: readonly number[];
}

export const models = ['tiny-tied', 'tiny-untied'] as const;
export const cases = [
  'text-only',
  'minimal-image',
  'partial-windows',
  'two-images',
  'rounded-size',
  'image-first-and-last',
] as const;

export const readJson = async <T>(name: string): Promise<T> =>
  JSON.parse(await readFile(path.join(root, name), 'utf8')) as T;

export const readTensors = async (name: string): Promise<SafetensorsReader> =>
  SafetensorsReader.open(bytesSource(await readFile(path.join(root, name))), name);

export async function readModel(name: string): Promise<ModelContext> {
  const folder = `models/${name}`;
  const config: Qwen2_5_VLConfig = resolveConfig(await readJson(`${folder}/config.json`));
  const checkpoint = await openCheckpoint(async (file) => {
    const bytes = await readFile(path.join(root, folder, file)).catch(() => undefined);
    return bytes && bytesSource(bytes);
  });
  const { weights } = await loadWeights(checkpoint, config);
  return { config, weights };
}

/** Largest absolute difference between two arrays of the same length. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} elements against ${expected.length}`);
  let largest = 0;
  for (let i = 0; i < actual.length; i++) largest = Math.max(largest, Math.abs(actual[i]! - expected[i]!));
  return largest;
}
