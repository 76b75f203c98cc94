/** A model before it is put together, and what it becomes then. */
import { LatentModel, type PeftAdapter, withAdapter } from '@mindseye/latent-reasoning';
import type { GenerationConfig, ModelContext, Processor, Qwen2_5_VLConfig, Weights } from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';

export interface ModelParts {
  readonly config: Qwen2_5_VLConfig;
  readonly generation: GenerationConfig;
  readonly processor: Processor;
  readonly weights: Weights;
  readonly adapter: PeftAdapter | undefined;
  /** Empty for a model without latents. */
  readonly latentIds: readonly number[];
}

export function assembleModel(
  { config, processor, weights, adapter, latentIds }: ModelParts,
  device: Device,
): LatentModel {
  const plain: ModelContext = { config, weights };
  const context = adapter ? withAdapter(plain, adapter) : plain;
  return new LatentModel({ context, processor, device, latentIds });
}
