/** The devices a model can run on. */
import { type Device, setMemoryBudget } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { openDevice } from '@mindseye/webgpu-backend';
import type { DeviceName } from './protocol.js';

const openers: Readonly<Record<DeviceName, () => Promise<Device>>> = {
  wasm: async () => createWasmDevice(),
  webgpu: () => openDevice(),
};

/** A page cannot ask for a collection: beyond this many bytes of tensors the console says who holds them. */
const memoryBudget = 512 * 2 ** 20;

/** Opens a device that tells the console when it holds more than a page should. */
export async function openNamedDevice(name: DeviceName): Promise<Device> {
  const device = await openers[name]();
  setMemoryBudget(device, { bytes: memoryBudget, warn: (message) => console.warn(message) });
  return device;
}
