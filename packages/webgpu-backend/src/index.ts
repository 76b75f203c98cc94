export { WebGpuError, type WebGpuErrorCode } from './errors.js';
export { kernelNames } from './kernels/table.js';
export { type OpenOptions, type Profile, type WebGpuDevice, openDevice } from './open.js';
export type { AdapterOptions, AdapterReport, LimitName } from './report.js';
