/** The engines of this project by name, as the benchmarks open them. */
import { type Device, createReferenceDevice, setDefaultDevice } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';

export const engines = {
  'wasm relaxed': () => createWasmDevice({ tier: 'relaxed' }),
  'wasm simd128': () => createWasmDevice({ tier: 'simd128' }),
  reference: () => createReferenceDevice(),
} as const satisfies Readonly<Record<string, () => Device>>;

export type EngineName = keyof typeof engines;
export const engineNames = Object.keys(engines) as EngineName[];

/** Opens an engine and makes it the default of this process. */
export function openEngine(name: EngineName): Device {
  const device = engines[name]();
  setDefaultDevice(device);
  return device;
}
