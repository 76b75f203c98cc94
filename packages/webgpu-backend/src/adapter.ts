/** Finds an adapter, and opens a GPUDevice with everything it allows. */
import { nativeGpu } from '#gpu';
import { WebGpuError } from './errors.js';
import { type AdapterOptions, type AdapterReport, type LimitName, limitNames } from './report.js';

export interface OpenedAdapter {
  readonly gpu: GPUDevice;
  readonly report: AdapterReport;
}

/** @throws WebGpuError `no-adapter` when there is no WebGPU or no adapter. */
export async function openAdapter({
  powerPreference,
  adapter: name,
  limits: asked = {},
}: AdapterOptions): Promise<OpenedAdapter> {
  const api = await nativeGpu(name === undefined ? [] : [`adapter=${name}`]);
  const which = name === undefined ? 'WebGPU found no adapter' : `WebGPU found no adapter named like "${name}"`;
  const cure = 'install a GPU driver (on Linux a Vulkan driver and libvulkan.so.1), or run on the CPU device instead';
  const adapter = await api.requestAdapter(powerPreference ? { powerPreference } : {}).catch((cause: unknown) => {
    throw new WebGpuError('no-adapter', `${which} (${oneLine(cause)}): ${cure}`, { cause });
  });
  if (!adapter) throw new WebGpuError('no-adapter', `${which}: ${cure}`);
  const limits = Object.fromEntries(
    limitNames.map((limit) => [limit, Math.min(adapter.limits[limit], asked[limit] ?? Infinity)]),
  );
  const gpu = await adapter.requestDevice({ requiredLimits: limits }).catch((cause: unknown) => {
    throw new WebGpuError('no-adapter', `the adapter "${adapter.info.description}" gave no device`, { cause });
  });
  const { vendor, architecture, description } = adapter.info;
  return {
    gpu,
    report: {
      vendor,
      architecture,
      description,
      isFallback: adapter.info.isFallbackAdapter,
      features: [...adapter.features].sort(),
      limits: limits as Record<LimitName, number>,
    },
  };
}

const oneLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s+/g, ' ');
