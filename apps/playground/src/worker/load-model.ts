/**
 * A model from the files of its folder: a Hugging Face checkpoint, with an adapter of PEFT or MLX in `adapter/` if it has one.
 *
 * Which tokens are latents is told by the tokenizer: the adapter's own, where it brings one, else the model's. A folder that
 * holds the two beside each other, as `model/` and `adapter/`, is taken as the model with its adapter.
 */
import { type PeftAdapter, checkAdapterFits, latentIdsOf, readAdapter } from '@mindseye/latent-reasoning';
import {
  type ModelFiles,
  ModelFolder,
  type Qwen2_5_VLConfig,
  type Tokenizer,
  parameterCount,
  parameterShapes,
} from '@mindseye/qwen-vl';
import { type Device, openCheckpoint } from '@mindseye/tensor-core';
import type { ModelParts } from './model-parts.js';
import { type StoredSource, openPlace } from './open-place.js';
import type { LoadProgress, ModelChoices } from './protocol.js';
import { type ModelSize, inPlainWords, loadDtype, requireRoom } from './weight-storage.js';

/** @param device where the weights go, one after another, as they are read */
export async function loadModel(
  source: StoredSource,
  device: Device,
  choices: ModelChoices,
  onProgress: (progress: LoadProgress) => void,
): Promise<ModelParts> {
  const place = await openPlace(source, onProgress);
  const files = place.names.has('config.json') ? place : ((await place.folder?.('model')) ?? place);
  const folder = await ModelFolder.open(files);
  const { config, weights } = await loadWeights(folder, device, choices, onProgress);
  const processor = await folder.processor();
  const opened = await openAdapter((await files.folder?.('adapter')) ?? (await place.folder?.('adapter')), config);
  return {
    config,
    generation: await folder.generationConfig(),
    processor,
    weights,
    adapter: opened?.adapter,
    latentIds: latentIdsOf(opened?.tokenizer ?? processor.tokenizer),
  };
}

async function loadWeights(
  folder: ModelFolder,
  device: Device,
  choices: ModelChoices,
  onProgress: (progress: LoadProgress) => void,
): Promise<Pick<ModelParts, 'config' | 'weights'>> {
  const guessed = await folder.config();
  // Until the headers have been read: 16 bits a number, as models are published.
  let size: ModelSize = { location: folder.location, config: guessed, bytes: 2 * parameterCount(guessed) };
  try {
    return await folder.loadWeights({
      device,
      dtype: loadDtype(choices.storage),
      onProgress: (_tensor, _tensors, { done, total }) => {
        // The headers have been read by now: a model that will not fit is refused before the rest of it is.
        size = { ...size, bytes: total };
        requireRoom(size, choices);
        onProgress({ step: 'reading', done, total });
      },
    });
  } catch (error) {
    throw inPlainWords(error, size, choices);
  }
}

interface OpenedAdapter {
  readonly adapter: PeftAdapter;
  readonly tokenizer: Tokenizer | undefined;
}

async function openAdapter(
  files: ModelFiles | undefined,
  config: Qwen2_5_VLConfig,
): Promise<OpenedAdapter | undefined> {
  if (!files?.names.has('adapter_config.json')) return undefined;
  const folder = await ModelFolder.open(files, ['adapter']);
  const { location } = folder;
  const fileName = folder.has('adapter_model.safetensors') ? 'adapter_model.safetensors' : 'adapters.safetensors';
  const source = await openCheckpoint((name) => files.open(name), { location, fileName });
  try {
    const adapter = await readAdapter(await folder.json('adapter_config.json'), source, location);
    checkAdapterFits(adapter, parameterShapes(config), location);
    return { adapter, tokenizer: await folder.optionalTokenizer() };
  } finally {
    await source.close();
  }
}
