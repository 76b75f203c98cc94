/** WebGPU in a browser: `navigator.gpu`, which exists in secure contexts only. */
import { WebGpuError } from './errors.js';

export function nativeGpu(): Promise<GPU> {
  const { gpu } = navigator as { readonly gpu?: GPU };
  if (!gpu)
    throw new WebGpuError(
      'no-adapter',
      'this page has no navigator.gpu: use a browser with WebGPU, and serve the page over https or from localhost',
    );
  return Promise.resolve(gpu);
}
