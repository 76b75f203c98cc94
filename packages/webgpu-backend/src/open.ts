/** Opens the GPU as a tensor-core device. */
import type { Device } from '@mindseye/tensor-core';
import { openAdapter } from './adapter.js';
import { createDevice } from './device.js';
import type { WebGpuError } from './errors.js';
import type { AdapterOptions, AdapterReport } from './report.js';

/**
 * `checked` waits for each run, and rejects it when an index was outside its table or WebGPU refused a command; donated inputs
 * are kept until then. `fast` lets runs overlap and writes over donated inputs in place: a bad index reads as zeros, and a
 * refused command shows at the next call.
 */
export type Profile = 'checked' | 'fast';

export interface OpenOptions extends AdapterOptions {
  /** `checked` when left out. */
  readonly profile?: Profile;
}

export interface WebGpuDevice extends Device {
  readonly adapter: AdapterReport;
  readonly profile: Profile;
  /** Resolves, with the reason, if the device is ever lost; every later call on it fails with the same error. */
  readonly lost: Promise<WebGpuError>;
  /** Number of shaders compiled so far: flat in a steady loop. */
  readonly pipelineCount: number;
}

/**
 * Opens the GPU: Dawn in Node (npm package `webgpu`), `navigator.gpu` in a browser.
 *
 * @throws WebGpuError with code `no-adapter` when there is no WebGPU, no driver, or no adapter of the asked name.
 */
export async function openDevice({ profile = 'checked', ...options }: OpenOptions = {}): Promise<WebGpuDevice> {
  const { gpu, report } = await openAdapter(options);
  return createDevice(gpu, report, { profile });
}
