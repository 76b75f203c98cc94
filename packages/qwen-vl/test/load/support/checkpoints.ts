/** Checkpoints in memory: random weights of a small configuration, in any layout, dtype and number of shards. */
import {
  type SafetensorsCheckpoint,
  type SafetensorsEntry,
  bytesSource,
  fillNormal,
  narrowToBf16,
  narrowToF16,
  openCheckpoint,
  safetensorsBytes,
  seedFromString,
  sizeOf,
  widenBf16,
  widenF16,
} from '@mindseye/tensor-core';
import { tinyConfig } from '../../../src/config/presets.js';
import type { Qwen2_5_VLConfig } from '../../../src/config/types.js';
import type { NameLayout } from '../../../src/model/parameters.js';
import { parameterShapes } from '../../../src/model/parameters.js';

export interface MicroSizes {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly layers: number;
  readonly depth: number;
  readonly intermediate: number;
  readonly patch: number;
  readonly tied: boolean;
}

/** The tiny configuration with still smaller sizes, none of which equals another that it could be taken for. */
export function microConfig({
  heads,
  keyValueHeads,
  layers,
  depth,
  intermediate,
  patch,
  tied,
}: MicroSizes): Qwen2_5_VLConfig {
  const base = tinyConfig();
  const hiddenSize = 24;
  return {
    ...base,
    textConfig: {
      ...base.textConfig,
      hiddenSize,
      intermediateSize: intermediate,
      numHiddenLayers: layers,
      numAttentionHeads: heads * keyValueHeads,
      numKeyValueHeads: keyValueHeads,
      headDim: 16,
    },
    visionConfig: {
      ...base.visionConfig,
      depth,
      hiddenSize: 16,
      intermediateSize: intermediate + 3,
      patchSize: patch,
      fullattBlockIndexes: [0],
      outHiddenSize: hiddenSize,
    },
    tieWordEmbeddings: tied,
  };
}

/** Values that every dtype holds exactly: bf16 numbers near f16's range. */
export function exactValues(name: string, shape: readonly number[]): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  fillNormal(values, seedFromString(name));
  return widenBf16(narrowToBf16(widenF16(narrowToF16(values))));
}

type Naming = (name: string) => string;

/** From the module tree to the names of a layout. */
export const namings: Readonly<Record<NameLayout, Naming>> = {
  new: (name) => name,
  old: (name) => name.replace(/^model\.visual\./, 'visual.').replace(/^model\.language_model\./, 'model.'),
  mlx: (name) =>
    name
      .replace(/^model\.visual\./, 'vision_tower.')
      .replace(/^model\.language_model\./, 'language_model.model.')
      .replace(/^lm_head\./, 'language_model.lm_head.'),
};

/** [out, channels, t, h, w] → [out, t, h, w, channels]. */
function channelsLast(values: Float32Array, [out, channels, ...rest]: readonly number[]): Float32Array {
  const places = sizeOf(rest);
  const result = new Float32Array(values.length);
  for (let o = 0; o < out!; o++)
    for (let c = 0; c < channels!; c++)
      for (let p = 0; p < places; p++)
        result[(o * places + p) * channels! + c] = values[(o * channels! + c) * places + p]!;
  return result;
}

export interface MicroFiles {
  readonly layout: NameLayout;
  readonly dtype: 'F32' | 'F16' | 'BF16' | 'F64';
  readonly shards: number;
}

/** The entries of a checkpoint of this configuration. */
export function entriesOf(config: Qwen2_5_VLConfig, { layout, dtype }: MicroFiles): SafetensorsEntry[] {
  return [...parameterShapes(config)].map(([name, shape]) => {
    const moved = layout === 'mlx' && shape.length === 5;
    const values = exactValues(name, shape);
    const data = moved ? channelsLast(values, shape) : values;
    return {
      name: namings[layout](name),
      dtype,
      shape: moved ? [shape[0]!, shape[2]!, shape[3]!, shape[4]!, shape[1]!] : [...shape],
      data: dtype === 'F64' ? Float64Array.from(data) : data,
    };
  });
}

/** Files by name: one, or shards with their index. */
export async function filesOf(entries: readonly SafetensorsEntry[], shards: number): Promise<Map<string, Uint8Array>> {
  if (shards <= 1) return new Map([['model.safetensors', await safetensorsBytes(entries)]]);
  const files = new Map<string, Uint8Array>();
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${shard + 1}-of-${shards}.safetensors`;
    const mine = entries.filter((_, i) => i % shards === shard);
    for (const { name } of mine) weightMap[name] = file;
    files.set(file, await safetensorsBytes(mine));
  }
  const index = JSON.stringify({ metadata: { total_size: 0 }, weight_map: weightMap });
  return files.set('model.safetensors.index.json', new TextEncoder().encode(index));
}

export const openFiles = (files: ReadonlyMap<string, Uint8Array>): Promise<SafetensorsCheckpoint> =>
  openCheckpoint(async (name) => {
    const bytes = files.get(name);
    return bytes && bytesSource(bytes);
  });

export const openEntries = async (entries: readonly SafetensorsEntry[], shards = 1): Promise<SafetensorsCheckpoint> =>
  openFiles(await filesOf(entries, shards));
