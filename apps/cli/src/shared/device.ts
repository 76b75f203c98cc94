/** The devices a command can compute on, by name. */
import { type Device, createReferenceDevice, setDefaultDevice } from '@mindseye/tensor-core';

const devices: Readonly<Record<string, () => Promise<Device>>> = {
  wasm: async () => (await import('@mindseye/wasm-backend')).createWasmDevice(),
  webgpu: async () => (await import('@mindseye/webgpu-backend')).openDevice(),
  reference: () => Promise.resolve(createReferenceDevice()),
};

/** The CPU until the GPU is the faster one for every model that the commands are used with. */
const AUTOMATIC = 'wasm';

export const deviceNames: readonly string[] = ['auto', ...Object.keys(devices)];

/** Opens a device and makes it the default of this process. */
export async function openNamedDevice(name: string): Promise<Device> {
  const device = await devices[name === 'auto' ? AUTOMATIC : name]!();
  setDefaultDevice(device);
  return device;
}
