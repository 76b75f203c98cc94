/**
 * WebGPU in Node: Dawn, from the optional npm package `webgpu`.
 *
 * An instance is kept for the life of the process. Dawn frees it, and crashes under live devices, as soon as the object
 * that `create` returned is collected.
 */
import { WebGpuError } from './errors.js';

const instances = new Map<string, Promise<GPU>>();

/** @param flags options of `create`: `backend=vulkan`, `adapter=<part of its name>`, `enable-dawn-features=…`. */
export function nativeGpu(flags: readonly string[] = []): Promise<GPU> {
  const key = flags.join(' ');
  let instance = instances.get(key);
  if (!instance) {
    instance = start(flags);
    instances.set(key, instance);
  }
  return instance;
}

async function start(flags: readonly string[]): Promise<GPU> {
  const { create } = await import('webgpu').catch((cause: unknown) => {
    throw new WebGpuError('no-adapter', 'WebGPU in Node needs the npm package "webgpu": npm install webgpu', { cause });
  });
  return create([...flags]) as unknown as GPU;
}
