/**
 * A model from the files of its folder: a Hugging Face checkpoint, with a PEFT adapter in `adapter/` if it has one.
 *
 * The adapter brings the latent tokens, their ids and their trained rows; a fully trained model has them in its tokenizer.
 * A folder that holds the two beside each other, as `model/` and `adapter/`, is taken as the model with its adapter.
 */
import { type PeftAdapter, checkAdapterFits, latentIdsOf, livrLora, readAdapter } from '@mindseye/latent-reasoning';
import {
  type ModelFiles,
  ModelFolder,
  type Qwen2_5_VLConfig,
  directoryFiles,
  fileListFiles,
  httpFolder,
  parameterShapes,
} from '@mindseye/qwen-vl';
import { type Device, openCheckpoint } from '@mindseye/tensor-core';
import type { ModelParts } from './model-parts.js';
import type { LoadProgress, ModelSource } from './protocol.js';

type StoredSource = Exclude<ModelSource, { kind: 'random' }>;

type Places = {
  readonly [K in StoredSource['kind']]: (source: Extract<StoredSource, { kind: K }>) => Promise<ModelFiles>;
};

const places: Places = {
  files: ({ base, files }) => httpFolder(base, { names: files }),
  folder: async ({ folder }) => ('length' in folder ? fileListFiles(folder) : directoryFiles(folder)),
};

const openPlace = <K extends StoredSource['kind']>(source: Extract<StoredSource, { kind: K }>): Promise<ModelFiles> =>
  places[source.kind as K](source);

/** @param device where the weights go, one after another, as they are read */
export async function loadModel(
  source: StoredSource,
  device: Device,
  onProgress: (progress: LoadProgress) => void,
): Promise<ModelParts> {
  const place = await openPlace(source);
  const files = place.names.has('config.json') ? place : ((await place.folder?.('model')) ?? place);
  const folder = await ModelFolder.open(files);
  const { config, weights } = await folder.loadWeights({
    device,
    onProgress: (done, total) => onProgress({ done, total }),
  });
  const processor = await folder.processor();
  const adapter = await loadAdapter((await files.folder?.('adapter')) ?? (await place.folder?.('adapter')), config);
  return {
    config,
    generation: await folder.generationConfig(),
    processor,
    weights,
    trained: { weights: {}, lora: adapter?.lora ?? {}, rows: adapter?.tokenRows?.rows ?? null },
    lora: adapter?.config ?? livrLora,
    latentIds: adapter ? (adapter.tokenRows?.ids ?? []) : latentIdsOf(processor.tokenizer),
  };
}

async function loadAdapter(files: ModelFiles | undefined, config: Qwen2_5_VLConfig): Promise<PeftAdapter | undefined> {
  if (!files?.names.has('adapter_config.json')) return undefined;
  const folder = await ModelFolder.open(files, ['adapter']);
  const { location } = folder;
  const fileName = folder.has('adapter_model.safetensors') ? 'adapter_model.safetensors' : 'adapters.safetensors';
  const source = await openCheckpoint((name) => files.open(name), { location, fileName });
  const adapter = await readAdapter(await folder.json('adapter_config.json'), source, location);
  checkAdapterFits(adapter, parameterShapes(config), location);
  return adapter;
}
