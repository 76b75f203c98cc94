/** Readers for the goldens that oracle/ makes from transformers: folders and files. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { SafetensorsReader, bytesSource, openCheckpoint } from '@mindseye/tensor-core';
import { resolveConfig } from '../../src/config/resolve-config.js';
import type { Qwen2_5_VLConfig } from '../../src/config/types.js';
import { loadWeights } from '../../src/load/load-weights.js';
import type { ModelContext } from '../../src/model/context.js';

const root = path.join(import.meta.dirname, '..', 'golden');

export const models = ['tiny-tied', 'tiny-untied', 'tiny-wide-heads', 'tiny-deep'] as const;

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

/** Largest absolute difference between two arrays of the same length; NaN is infinitely far from everything. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} elements against ${expected.length}`);
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}
