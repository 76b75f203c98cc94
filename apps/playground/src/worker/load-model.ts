/**
 * A model from the files of its folder: a Hugging Face checkpoint, with a PEFT adapter in `adapter/` if it has one.
 *
 * The adapter brings the latent tokens, their ids and their trained rows; a fully trained model has them in its tokenizer.
 */
import { type PeftAdapter, checkAdapterFits, latentIdsOf, livrLora, readPeftAdapter } from '@mindseye/latent-reasoning';
import {
  ChatTemplate,
  Processor,
  Tokenizer,
  checkPreprocessorFitsModel,
  loadWeights,
  parameterShapes,
  resolveConfig,
  resolveGenerationConfig,
  resolvePreprocessorConfig,
} from '@mindseye/qwen-vl';
import { openCheckpoint } from '@mindseye/tensor-core';
import { HttpFolder } from './http-folder.js';
import type { ModelParts } from './model-parts.js';
import type { LoadProgress, ModelSource } from './protocol.js';

const ADAPTER = { config: 'adapter/adapter_config.json', weights: 'adapter_model.safetensors' } as const;

export async function loadModel(
  { base, files }: Extract<ModelSource, { kind: 'files' }>,
  onProgress: (progress: LoadProgress) => void,
): Promise<ModelParts> {
  const folder = new HttpFolder(base, files);

  const config = resolveConfig(await folder.requiredJson('config.json'), 'config.json');
  const generation = resolveGenerationConfig(await folder.json('generation_config.json'), config);
  const preprocessor = resolvePreprocessorConfig(await folder.requiredJson('preprocessor_config.json'));
  checkPreprocessorFitsModel(preprocessor, config);
  const tokenizerConfig = await folder.json('tokenizer_config.json');
  const tokenizer = Tokenizer.fromJson(await folder.requiredJson('tokenizer.json'), tokenizerConfig);
  const template = ChatTemplate.fromSources({
    jinja: await folder.text('chat_template.jinja'),
    chatTemplateJson: await folder.json('chat_template.json'),
    tokenizerConfig,
  });

  const checkpoint = await openCheckpoint((name) => folder.bytes(name), { location: folder.location });
  const { weights } = await loadWeights(checkpoint, config, {
    location: folder.location,
    onProgress: (done, total) => onProgress({ done, total }),
  });

  const adapter = await loadAdapter(folder);
  if (adapter) checkAdapterFits(adapter, parameterShapes(config), `${folder.location}/adapter`);
  return {
    config,
    generation,
    processor: new Processor(tokenizer, template, preprocessor),
    weights,
    trained: { weights: {}, lora: adapter?.lora ?? {}, rows: adapter?.tokenRows?.rows ?? null },
    lora: adapter?.config ?? livrLora,
    latentIds: adapter ? (adapter.tokenRows?.ids ?? []) : latentIdsOf(tokenizer),
  };
}

async function loadAdapter(folder: HttpFolder): Promise<PeftAdapter | undefined> {
  const config = await folder.json(ADAPTER.config);
  if (config === undefined) return undefined;
  const location = `${folder.location}/adapter`;
  const source = await openCheckpoint((name) => folder.bytes(`adapter/${name}`), {
    location,
    fileName: ADAPTER.weights,
  });
  return readPeftAdapter(config, source, location);
}
