/** Weights as entries of a safetensors file, each read from its device when its turn comes. */
import type { Device, SafetensorsEntry, Tensor } from '@mindseye/tensor-core';

/** Types a checkpoint is written in, with their names in config.json. */
export const weightDtypes = { F32: 'float32', BF16: 'bfloat16' } as const;

export type WeightDtype = keyof typeof weightDtypes;

/** @param weights f32, as they are trained */
export function weightEntries(
  weights: Readonly<Record<string, Tensor>>,
  dtype: WeightDtype,
  device?: Device,
): SafetensorsEntry[] {
  return Object.entries(weights).map(([name, weight]) => ({
    name,
    dtype,
    shape: weight.shape,
    data: async () => (await weight.data(device)) as Float32Array,
  }));
}
