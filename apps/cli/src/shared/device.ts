/** The devices a command can compute on, by name. */
import { type Device, createReferenceDevice, setDefaultDevice, setMemoryBudget } from '@mindseye/tensor-core';
import { collectGarbage } from '@mindseye/tensor-core/node';

const devices: Readonly<Record<string, () => Promise<Device>>> = {
  wasm: async () => (await import('@mindseye/wasm-backend')).createWasmDevice(),
  webgpu: async () => (await import('@mindseye/webgpu-backend')).openDevice(),
  reference: () => Promise.resolve(createReferenceDevice()),
};

/** The CPU until the GPU is the faster one for every model that the commands are used with. */
const AUTOMATIC = 'wasm';

export const deviceNames: readonly string[] = ['auto', ...Object.keys(devices)];

/** Bytes of tensors beyond which handles that nobody holds are collected; the budget grows with what is really in use. */
const memoryBudget = 256 * 2 ** 20;

/** Opens a device and makes it the default of this process. */
export async function openNamedDevice(name: string): Promise<Device> {
  const device = await devices[name === 'auto' ? AUTOMATIC : name]!();
  setDefaultDevice(device);
  setMemoryBudget(device, { bytes: memoryBudget, collect: collectGarbage });
  return device;
}
