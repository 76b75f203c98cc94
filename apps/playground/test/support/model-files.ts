/** A model as the files of its folder: what `mindseye train` leaves, made from random parts. */
import { peftConfig, peftEntries } from '@mindseye/latent-reasoning';
import { toHuggingFaceConfig, toHuggingFaceGenerationConfig, toHuggingFacePreprocessorConfig } from '@mindseye/qwen-vl';
import { createReferenceDevice, safetensorsBytes } from '@mindseye/tensor-core';
import type { ModelParts } from '../../src/worker/model-parts.js';
import type { ServedFiles } from './opened-page.js';

export async function modelFiles({
  config,
  generation,
  processor,
  weights,
  trained,
  lora,
  latentIds,
}: ModelParts): Promise<ServedFiles> {
  const { tokenizer, imageProcessor } = processor;
  const device = createReferenceDevice();
  const adapter = { config: lora, lora: trained.lora, tokenRows: { ids: latentIds, rows: trained.rows! } };
  const entries = Object.entries(weights).map(async ([name, value]) => ({
    name,
    dtype: 'F32' as const,
    shape: value.shape,
    data: (await value.data(device)) as Float32Array,
  }));
  const json = (content: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(content));
  return new Map([
    ['models/tiny-livr/config.json', json(toHuggingFaceConfig(config))],
    ['models/tiny-livr/generation_config.json', json(toHuggingFaceGenerationConfig(generation))],
    ['models/tiny-livr/preprocessor_config.json', json(toHuggingFacePreprocessorConfig(imageProcessor.config))],
    ['models/tiny-livr/tokenizer.json', json(tokenizer.toJson())],
    ['models/tiny-livr/tokenizer_config.json', json(tokenizer.configToJson())],
    ['models/tiny-livr/model.safetensors', await safetensorsBytes(await Promise.all(entries), { format: 'pt' })],
    ['models/tiny-livr/adapter/adapter_config.json', json(peftConfig(adapter, 'tiny'))],
    [
      'models/tiny-livr/adapter/adapter_model.safetensors',
      await safetensorsBytes(await peftEntries(adapter, device), { format: 'pt' }),
    ],
  ]);
}
