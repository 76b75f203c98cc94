/** The devices a model can run on. */
import { type Device, setMemoryBudget } from '@mindseye/tensor-core';
import { type WasmDevice, createWasmDevice } from '@mindseye/wasm-backend';
import { openDevice } from '@mindseye/webgpu-backend';
import type { DeviceName } from './protocol.js';

const openers: Readonly<Record<DeviceName, () => Promise<Device>>> = {
  wasm: async () => createWasmDevice(),
  webgpu: () => openDevice(),
};

export const openNamedDevice = (name: DeviceName): Promise<Device> => openers[name]();

/** What a device is called on the page: the CPU with the threads that it has here. */
export function describeDevice(device: Device | WasmDevice): string {
  if (!('threads' in device)) return device.name;
  return `${device.name}, ${device.threads} thread${device.threads === 1 ? '' : 's'}`;
}

/** For all but the weights, in bytes. */
const WORKING_BUDGET = 512 * 2 ** 20;

/** A page cannot ask for a collection: when a device holds more than a model's answers should, the console says who holds it. */
export function watchMemory(device: Device, weightBytes: number): void {
  setMemoryBudget(device, { bytes: weightBytes + WORKING_BUDGET, warn: (message) => console.warn(message) });
}
