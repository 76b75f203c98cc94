/** A model before it is put on a device, and the model that it becomes there. */
import { LatentModel, type LoraConfig, type Trainables, modelOf } from '@mindseye/latent-reasoning';
import type { GenerationConfig, Processor, Qwen2_5_VLConfig, Weights } from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';

export interface ModelParts {
  readonly config: Qwen2_5_VLConfig;
  readonly generation: GenerationConfig;
  readonly processor: Processor;
  readonly weights: Weights;
  /** LoRA pairs and latent rows over those weights; empty for a model without an adapter. */
  readonly trained: Trainables;
  readonly lora: LoraConfig;
  readonly latentIds: readonly number[];
}

export function assembleModel(
  { config, processor, weights, trained, lora, latentIds }: ModelParts,
  device: Device,
): LatentModel {
  const context = modelOf({ config, weights, trains: 'lora', lora, latentIds }, trained);
  return new LatentModel({ context, processor, device, latentIds });
}
