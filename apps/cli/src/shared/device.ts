/** The devices a command can compute on, by name. */
import { type Device, createReferenceDevice, setDefaultDevice, setMemoryBudget } from '@mindseye/tensor-core';
import { collectGarbage } from '@mindseye/tensor-core/node';
import type { Tier } from '@mindseye/wasm-backend';
import { UsageError } from './errors.js';

/** What the options of a command say about its device. */
export interface DeviceChoice {
  readonly device: string;
  /** Of the CPU device. */
  readonly threads?: number;
  readonly tier?: Tier;
}

export const tierNames: readonly Tier[] = ['simd128', 'relaxed', 'revectorized'];

type CpuChoice = Omit<DeviceChoice, 'device'>;

const devices: Readonly<Record<string, (choice: CpuChoice) => Promise<Device>>> = {
  wasm: async (choice) => (await import('@mindseye/wasm-backend')).createWasmDevice(choice),
  webgpu: async () => (await import('@mindseye/webgpu-backend')).openDevice(),
  reference: () => Promise.resolve(createReferenceDevice()),
};

/** The CPU until the GPU is the faster one for every model that the commands are used with. */
const AUTOMATIC = 'wasm';

export const deviceNames: readonly string[] = ['auto', ...Object.keys(devices)];

/** Bytes of tensors beyond which handles that nobody holds are collected; the budget grows with what is really in use. */
const memoryBudget = 256 * 2 ** 20;

/** Opens a device and makes it the default of this process. */
export async function openNamedDevice({ device: asked, threads, tier }: DeviceChoice): Promise<Device> {
  const name = asked === 'auto' ? AUTOMATIC : asked;
  if (name !== AUTOMATIC && (threads ?? tier) !== undefined)
    throw new UsageError(`--threads and --tier are for the CPU device: leave them out, or --device ${name}`);
  const device = await devices[name]!({ ...(threads !== undefined && { threads }), ...(tier && { tier }) });
  setDefaultDevice(device);
  setMemoryBudget(device, { bytes: memoryBudget, collect: collectGarbage });
  return device;
}
