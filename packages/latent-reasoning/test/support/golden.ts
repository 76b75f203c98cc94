/** Readers for the goldens that oracle/ makes from transformers and PEFT, and the tiny model they were made on. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type VisionItem,
  type ModelContext,
  type Processor,
  type Qwen2_5_VLConfig,
  headForward,
  imagePatches,
  loadWeights,
} from '@mindseye/qwen-vl';
import { openModelFolder } from '@mindseye/qwen-vl/node';
import { openCheckpointFolder } from '@mindseye/tensor-core/node';
import {
  type Device,
  type SafetensorsReader,
  type Tensor,
  SafetensorsReader as Reader,
  bytesSource,
  slice,
} from '@mindseye/tensor-core';
import {
  type LoraConfig,
  type TrainingExample,
  type Trainables,
  batchHidden,
  batchOperands,
  peftEntries,
} from '../../src/index.js';

export const goldenFolder: string = path.join(import.meta.dirname, '..', 'golden');

/** A checkpoint folder with a tied head, a tokenizer and a preprocessor configuration. */
export const modelFolder: string = path.join(goldenFolder, '../../../qwen-vl/test/golden/models/tiny-tied');
export const adapterFolder: string = path.join(goldenFolder, 'adapter');

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
  JSON.parse(await readFile(path.join(goldenFolder, name), 'utf8')) as T;

export const readTensors = async (name: string): Promise<SafetensorsReader> =>
  Reader.open(bytesSource(await readFile(path.join(goldenFolder, name))), name);

export const readSamples = async (): Promise<readonly GoldenSample[]> =>
  (await readJson<{ samples: GoldenSample[] }>('livr-forward.json')).samples;

export interface TinyModel {
  readonly context: ModelContext;
  readonly config: Qwen2_5_VLConfig;
  readonly processor: Processor;
}

/** A model of the goldens of qwen-vl, in fresh tensors: a tensor belongs to the device that first used it. */
export async function readModel(name: string): Promise<Pick<TinyModel, 'context' | 'config'>> {
  const location = path.join(modelFolder, '..', name);
  const config = await (await openModelFolder(location, { parts: ['config', 'weights'] })).config();
  const checkpoint = await openCheckpointFolder(location);
  try {
    const { weights } = await loadWeights(checkpoint, config);
    return { context: { config, weights }, config };
  } finally {
    await checkpoint.close();
  }
}

/** The tiny model with a tokenizer. */
export async function readTinyModel(): Promise<TinyModel> {
  const folder = await openModelFolder(modelFolder);
  return { ...(await readModel('tiny-tied')), processor: await folder.processor() };
}

/** The samples as training examples, their pictures through our own image processor. */
export async function readExamples(processor: Processor): Promise<TrainingExample[]> {
  const [samples, tensors] = [await readSamples(), await readTensors('livr-forward.safetensors')];
  return Promise.all(
    samples.map(async (sample, i) => ({
      id: `golden ${i}`,
      images: await readImages(processor, tensors, [`${i}.image`]),
      sequence: {
        inputIds: Int32Array.from(sample.input_ids[0]),
        roles: Int32Array.from(sample.roles),
        labels: Int32Array.from(sample.labels[0]),
        grids: sample.image_grid_thw,
      },
    })),
  );
}

/** Pictures of a golden, u8 [height, width, 3], through our own image processor. */
export async function readImages(
  processor: Processor,
  tensors: SafetensorsReader,
  names: readonly string[],
): Promise<VisionItem[]> {
  const images: VisionItem[] = [];
  for (const name of names) {
    const { shape, data } = await tensors.read(name);
    const raster = {
      data: Uint8Array.from(data as Uint8Array),
      height: shape[0]!,
      width: shape[1]!,
      channels: 3 as const,
    };
    images.push(...imagePatches(processor.imageProcessor.process([raster])));
  }
  return images;
}

/** Trainables under their names in a PEFT file. */
export async function peftNamed(
  { lora, rows }: Trainables,
  config: LoraConfig,
  device: Device,
): Promise<Map<string, Float32Array>> {
  const adapter = { config, lora, ...(rows && { tokenRows: { ids: latentIds, rows } }) };
  const entries = await peftEntries(adapter, device);
  return new Map(entries.map(({ name, data }) => [name, data as Float32Array]));
}

/** Euclidean distance. */
export const distance = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));

/** Logits [1, count, vocabulary] of the last positions of one example under plain causal attention. */
export function lastLogits(context: ModelContext, example: TrainingExample, count: number): Tensor {
  const length = example.sequence.inputIds.length;
  const hidden = batchHidden(context, batchOperands(context.config, [example], 1), 'causal');
  return headForward(context, slice(hidden, 1, length - count, length));
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
