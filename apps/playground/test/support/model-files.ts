/** A model as the files of its folder: what `mindseye train` leaves, made from random parts. */
import { peftConfig, peftEntries } from '@mindseye/latent-reasoning';
import { toHuggingFaceConfig, toHuggingFaceGenerationConfig, toHuggingFacePreprocessorConfig } from '@mindseye/qwen-vl';
import { type Tensor, createReferenceDevice, safetensorsBytes } from '@mindseye/tensor-core';
import type { ModelParts } from '../../src/worker/model-parts.js';

const json = (content: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(content));

/** The model without its adapter. Weights are f32 tensors, as random ones are. */
export async function checkpointFiles({
  config,
  generation,
  processor: { tokenizer, imageProcessor },
  weights,
}: ModelParts): Promise<Map<string, Uint8Array>> {
  const device = createReferenceDevice();
  const entries = Object.entries(weights as Readonly<Record<string, Tensor>>).map(async ([name, value]) => ({
    name,
    dtype: 'F32' as const,
    shape: value.shape,
    data: (await value.data(device)) as Float32Array,
  }));
  return new Map([
    ['config.json', json(toHuggingFaceConfig(config))],
    ['generation_config.json', json(toHuggingFaceGenerationConfig(generation))],
    ['preprocessor_config.json', json(toHuggingFacePreprocessorConfig(imageProcessor.config))],
    ['tokenizer.json', json(tokenizer.toJson())],
    ['tokenizer_config.json', json(tokenizer.configToJson())],
    ['model.safetensors', await safetensorsBytes(await Promise.all(entries), { format: 'pt' })],
  ]);
}

/** The model with its adapter, under the folder's path. */
export async function modelFiles(parts: ModelParts, folder = 'models/tiny-livr'): Promise<Map<string, Uint8Array>> {
  const adapter = parts.adapter!;
  const entries = await peftEntries(adapter, createReferenceDevice());
  const files = new Map([
    ...(await checkpointFiles(parts)),
    ['adapter/adapter_config.json', json(peftConfig(adapter, 'tiny'))],
    ['adapter/adapter_model.safetensors', await safetensorsBytes(entries, { format: 'pt' })],
  ] as [string, Uint8Array][]);
  return new Map([...files].map(([name, content]) => [`${folder}/${name}`, content]));
}
