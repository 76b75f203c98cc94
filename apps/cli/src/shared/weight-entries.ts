/** Weights as entries of a safetensors file, each read from its device when its turn comes. */
import type { Weights } from '@mindseye/qwen-vl';
import type { Device, SafetensorsEntry } from '@mindseye/tensor-core';

/** Types a checkpoint is written in, with their names in config.json. */
export const weightDtypes = { F32: 'float32', BF16: 'bfloat16' } as const;

export type WeightDtype = keyof typeof weightDtypes;

export function weightEntries(weights: Weights, dtype: WeightDtype, device?: Device): SafetensorsEntry[] {
  return Object.entries(weights).map(([name, weight]) => ({
    name,
    dtype,
    shape: weight.shape,
    data: async () => (await weight.data(device)) as Float32Array,
  }));
}
