/** Opens a checkpoint, with an adapter if there is one, as something that answers questions. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import {
  LatentModel,
  type PeftAdapter,
  checkAdapterFits,
  latentIdsOf,
  readAdapter,
  withAdapter,
} from '@mindseye/latent-reasoning';
import {
  type GenerationConfig,
  type ModelContext,
  type ModelFiles,
  type ModelFolder,
  type Processor,
  type Qwen2_5_VLConfig,
  type Weights,
  parameterShapes,
  shardNames,
} from '@mindseye/qwen-vl';
import { type Device, openCheckpoint } from '@mindseye/tensor-core';
import { loadFolderWeights } from './load-weights.js';
import { type ModelAccess, openFolder } from './model-files.js';
import type { WeightDType } from './options.js';

export interface BaseModel {
  readonly folder: ModelFolder;
  /** What PEFT calls it: a path, or a name on the hub without its revision. */
  readonly name: string;
  readonly config: Qwen2_5_VLConfig;
  readonly weights: Weights;
  readonly processor: Processor;
  /** Digest of what the weights are, for records and checkpoints. */
  readonly fingerprint: string;
}

/**
 * @param model a folder, or `organisation/name@revision`
 * @param device where the weights go as they are read; left out, they stay on the host
 */
export async function openBaseModel(
  model: string,
  access: ModelAccess & { readonly dtype?: WeightDType },
  device?: Device,
): Promise<BaseModel> {
  const folder = await openFolder(model, access);
  // What is wrong with small files shows before the large ones are read.
  const processor = await folder.processor();
  const { config, weights } = await loadFolderWeights(folder, device, access.dtype ?? 'auto', access.terminal);
  const shards = (await shardNames(folder.files)) ?? ['model.safetensors'];
  return {
    folder,
    name: folder.files.repository?.name ?? model,
    config,
    weights,
    processor,
    fingerprint: await fingerprintOf(folder.files, ['config.json', 'tokenizer.json', ...shards]),
  };
}

export interface OpenedModel {
  readonly model: LatentModel;
  /** For people and records: the folders it was made of. */
  readonly name: string;
  readonly fingerprint: string;
  /** How the checkpoint wants to be decoded. */
  readonly generation: GenerationConfig;
}

/** @param adapterName a PEFT adapter, a folder as `mindseye train` writes it or a name on the hub */
export async function openLatentModel(
  modelName: string,
  adapterName: string | undefined,
  device: Device,
  access: ModelAccess & { readonly dtype?: WeightDType },
): Promise<OpenedModel> {
  const base = await openBaseModel(modelName, access, device);
  // The revision is the model's.
  const { revision: _, ...adapterAccess } = access;
  const opened = adapterName === undefined ? undefined : await openAdapter(adapterName, base.config, adapterAccess);
  const plain: ModelContext = { config: base.config, weights: base.weights };
  const context = opened ? withAdapter(plain, opened.adapter) : plain;
  const latentIds = latentIdsOf((await opened?.folder.optionalTokenizer()) ?? base.processor.tokenizer);
  return {
    model: new LatentModel({ context, processor: base.processor, device, latentIds }),
    generation: await base.folder.generationConfig(),
    name: [modelName, adapterName]
      .filter((part) => part !== undefined)
      .map((part) => path.basename(path.resolve(part)))
      .join(' + '),
    fingerprint: createHash('sha256')
      .update(base.fingerprint)
      .update(opened?.fingerprint ?? NO_FILES)
      .digest('hex'),
  };
}

/** The fingerprint of no files at all. */
const NO_FILES = createHash('sha256').digest('hex');

/** As PEFT names it, or MLX. */
const ADAPTER_WEIGHTS = ['adapter_model.safetensors', 'adapters.safetensors'] as const;

interface OpenedAdapter {
  readonly folder: ModelFolder;
  readonly adapter: PeftAdapter;
  readonly fingerprint: string;
}

/** Reads an adapter. @throws InvalidInputError when it is incomplete or is not one for the model */
export async function openAdapter(name: string, config: Qwen2_5_VLConfig, access: ModelAccess): Promise<OpenedAdapter> {
  const folder = await openFolder(name, { ...access, parts: ['adapter'], remoteParts: [] });
  const { location, files } = folder;
  const fileName = ADAPTER_WEIGHTS.find((file) => folder.has(file))!;
  const source = await openCheckpoint((file) => files.open(file), { location, fileName });
  try {
    const adapter = await readAdapter(await folder.json('adapter_config.json'), source, location);
    checkAdapterFits(adapter, parameterShapes(config), location);
    return { folder, adapter, fingerprint: await fingerprintOf(files, ['adapter_config.json', fileName]) };
  } finally {
    await source.close();
  }
}

const SAMPLED_BYTES = 2 ** 20;

/** SHA-256 over each file's size and its first and last mebibyte: enough to tell trainings apart, whatever the size. */
async function fingerprintOf(files: ModelFiles, names: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const name of names) {
    const source = await files.open(name);
    try {
      const { size } = source;
      hash.update(`${name} ${size}\n`);
      for (const start of [0, Math.max(SAMPLED_BYTES, size - SAMPLED_BYTES)])
        hash.update(await source.read(Math.min(start, size), Math.min(SAMPLED_BYTES, Math.max(0, size - start))));
    } finally {
      await source.close?.();
    }
  }
  return hash.digest('hex');
}
