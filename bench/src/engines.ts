/**
 * The engines of this project by name, as the benchmarks open them. One thread where the name says nothing else, so that
 * they compare with libraries held to one thread.
 */
import { type Device, createReferenceDevice, setDefaultDevice } from '@mindseye/tensor-core';
import { type Tier, createWasmDevice, supportsTier } from '@mindseye/wasm-backend';

interface Engine {
  readonly open: () => Device;
  /** Whether this machine and this version of Node can run it. */
  readonly isSupported: () => boolean;
  readonly threads: number;
}

const wasm = (tier: Tier, threads: number): Engine => ({
  open: () => createWasmDevice({ tier, threads }),
  isSupported: () => supportsTier(tier),
  threads,
});

const table = {
  'wasm revectorized': wasm('revectorized', 1),
  'wasm revectorized, 2 threads': wasm('revectorized', 2),
  'wasm relaxed': wasm('relaxed', 1),
  'wasm relaxed, 2 threads': wasm('relaxed', 2),
  'wasm simd128': wasm('simd128', 1),
  reference: { open: () => createReferenceDevice(), isSupported: () => true, threads: 1 },
} as const satisfies Readonly<Record<string, Engine>>;

export type EngineName = keyof typeof table;
export const engines: Readonly<Record<EngineName, Engine>> = table;

/** Those that run here, the best first. */
export const engineNames = (Object.keys(table) as EngineName[]).filter((name) => table[name].isSupported());
/** Without the reference, which is slower by tens of times. */
export const fastEngineNames = engineNames.filter((name) => name !== 'reference');
/** The best of them on one thread. */
export const bestEngine: EngineName = engineNames[0]!;

/** Opens an engine and makes it the default of this process. */
export function openEngine(name: EngineName): Device {
  const device = engines[name].open();
  setDefaultDevice(device);
  return device;
}
