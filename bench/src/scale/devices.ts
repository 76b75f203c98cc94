/** The devices a model of true size can be tried on. */
import { type Device, setDefaultDevice } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { openDevice } from '@mindseye/webgpu-backend';
import { engines } from '../engines.ts';

/** `wasm` is the device as it is chosen for users: best tier, all processors. */
const devices: Readonly<Record<string, () => Device | Promise<Device>>> = {
  wasm: () => createWasmDevice(),
  ...Object.fromEntries(Object.entries(engines).map(([name, { open }]) => [name, open])),
  webgpu: () => openDevice(),
};

/** Opens a device and makes it the default of this process. @throws RangeError for a name that is not one. */
export async function openScaleDevice(name: string): Promise<Device> {
  if (!Object.hasOwn(devices, name))
    throw new RangeError(`there is no device "${name}"; choose from ${Object.keys(devices).join(', ')}`);
  const device = await devices[name]!();
  setDefaultDevice(device);
  return device;
}
