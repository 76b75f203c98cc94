/** Compute pipelines by shader source, and bind group layouts by signature: each is made once per device. */
import type { BindingSource, Dispatch } from './wgsl/dispatch.js';

const shaderStageCompute = 0x4;

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const bindingType: Readonly<Record<BindingSource['kind'], GPUBufferBindingType>> = {
  input: 'read-only-storage',
  output: 'storage',
  status: 'storage',
};

export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  /** How many shaders have been compiled. */
  get size(): number {
    return this.#pipelines.size;
  }

  pipelineOf({ name: label, source, bindings }: Dispatch): Pipeline {
    let known = this.#pipelines.get(source);
    if (!known) {
      const layout = this.#layoutOf(bindings);
      const pipeline = this.#gpu.createComputePipeline({
        label,
        layout: this.#gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module: this.#gpu.createShaderModule({ label, code: source }), entryPoint: 'main' },
      });
      known = { pipeline, layout };
      this.#pipelines.set(source, known);
    }
    return known;
  }

  #layoutOf(bindings: readonly BindingSource[]): GPUBindGroupLayout {
    const types: GPUBufferBindingType[] = ['uniform', ...bindings.map(({ kind }) => bindingType[kind])];
    const key = types.join();
    let layout = this.#layouts.get(key);
    if (!layout) {
      layout = this.#gpu.createBindGroupLayout({
        entries: types.map((type, binding) => ({ binding, visibility: shaderStageCompute, buffer: { type } })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}
