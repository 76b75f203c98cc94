/** The devices a model can run on. */
import type { Device } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { openDevice } from '@mindseye/webgpu-backend';
import type { DeviceName } from './protocol.js';

export const devices: Readonly<Record<DeviceName, () => Promise<Device>>> = {
  wasm: async () => createWasmDevice(),
  webgpu: () => openDevice(),
};
