export { type WasmDevice, type WasmDeviceOptions, type WasmReport, createWasmDevice } from './device/device.js';
export { WasmMemoryError } from './device/heap.js';
export { kernelNames } from './device/kernel-table.js';
export { probeTier, supportsTier, type Tier } from './kernels/index.js';
export { WasmThreadError } from './threads/crew.js';
