/** Readers for the goldens that oracle/ makes from transformers and PEFT, and the tiny model they were made on. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type ModelContext, type Processor, type Qwen2_5_VLConfig, imagePatches, loadWeights } from '@mindseye/qwen-vl';
import { ModelFolder } from '@mindseye/qwen-vl/node';
import { type SafetensorsReader, SafetensorsReader as Reader, bytesSource } from '@mindseye/tensor-core';
import { openCheckpointFolder } from '@mindseye/tensor-core/node';
import type { TrainingExample } from '../../src/index.js';

const root = path.join(import.meta.dirname, '..', 'golden');

/** A checkpoint folder with a tied head, a tokenizer and a preprocessor configuration. */
export const modelFolder: string = path.join(root, '../../../qwen-vl/test/golden/models/tiny-tied');
export const adapterFolder: string = path.join(root, 'adapter');

export const latentIds = [478, 479, 480, 481] as const;

/** One sample of livr-forward.json, as transformers takes it (with a batch axis). */
export interface GoldenSample {
  readonly input_ids: readonly [readonly number[]];
  readonly position_ids: readonly (readonly [readonly number[]])[];
  readonly image_grid_thw: readonly [readonly [number, number, number]];
  readonly roles: readonly number[];
  readonly labels: readonly [readonly number[]];
  /** Row = query, column = key. */
  readonly allowed_stage_1: readonly string[];
}

export const readJson = async <T>(name: string): Promise<T> =>
  JSON.parse(await readFile(path.join(root, name), 'utf8')) as T;

export const readTensors = async (name: string): Promise<SafetensorsReader> =>
  Reader.open(bytesSource(await readFile(path.join(root, name))), name);

export const readSamples = async (): Promise<readonly GoldenSample[]> =>
  (await readJson<{ samples: GoldenSample[] }>('livr-forward.json')).samples;

export interface TinyModel {
  readonly context: ModelContext;
  readonly config: Qwen2_5_VLConfig;
  readonly processor: Processor;
}

/** The model in fresh tensors: a tensor belongs to the device that first used it. */
export async function readTinyModel(): Promise<TinyModel> {
  const folder = await ModelFolder.open(modelFolder);
  const config = await folder.config();
  const checkpoint = await openCheckpointFolder(modelFolder);
  try {
    const { weights } = await loadWeights(checkpoint, config);
    return { context: { config, weights }, config, processor: await folder.processor() };
  } finally {
    await checkpoint.close();
  }
}

/** The samples as training examples, their pictures through our own image processor. */
export async function readExamples(processor: Processor): Promise<TrainingExample[]> {
  const [samples, tensors] = [await readSamples(), await readTensors('livr-forward.safetensors')];
  const examples: TrainingExample[] = [];
  for (const [i, sample] of samples.entries()) {
    const { shape, data } = await tensors.read(`${i}.image`);
    const images = imagePatches(
      processor.imageProcessor.process([
        { data: Uint8Array.from(data as Uint8Array), height: shape[0]!, width: shape[1]!, channels: 3 },
      ]),
    );
    examples.push({
      id: `golden ${i}`,
      images,
      sequence: {
        inputIds: Int32Array.from(sample.input_ids[0]),
        roles: Int32Array.from(sample.roles),
        labels: Int32Array.from(sample.labels[0]),
        grids: sample.image_grid_thw,
      },
    });
  }
  return examples;
}

/** Largest absolute difference between two arrays of the same length. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} elements against ${expected.length}`);
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    // NaN is never larger than anything, so it is said out loud.
    largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference);
  }
  return largest;
}
