/** Opens a checkpoint folder, with an adapter if there is one, as something that answers questions. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { LatentModel, type PeftAdapter, checkAdapterFits, latentIdsOf, modelOf } from '@mindseye/latent-reasoning';
import { loadAdapter } from '@mindseye/latent-reasoning/node';
import { type Processor, type Qwen2_5_VLConfig, type Weights, loadWeights, parameterShapes } from '@mindseye/qwen-vl';
import { ModelFolder } from '@mindseye/qwen-vl/node';
import type { Device } from '@mindseye/tensor-core';
import { openCheckpointFolder } from '@mindseye/tensor-core/node';

export interface BaseModel {
  readonly folder: ModelFolder;
  readonly config: Qwen2_5_VLConfig;
  readonly weights: Weights;
  readonly processor: Processor;
  /** Digest of what the weights are, for records and checkpoints. */
  readonly fingerprint: string;
}

export async function openBaseModel(location: string): Promise<BaseModel> {
  const folder = await ModelFolder.open(location);
  const config = await folder.config();
  const processor = await folder.processor();
  const source = await openCheckpointFolder(location);
  try {
    const { weights } = await loadWeights(source, config, { location });
    const files = [folder.fileName('config.json'), folder.fileName('tokenizer.json'), ...source.files];
    return { folder, config, weights, processor, fingerprint: await fingerprintOf(files) };
  } finally {
    await source.close();
  }
}

export interface OpenedModel {
  readonly model: LatentModel;
  /** For people and records: the folders it was made of. */
  readonly name: string;
  readonly fingerprint: string;
}

/** @param adapterLocation a PEFT folder, as `mindseye train` writes it */
export async function openLatentModel(
  location: string,
  adapterLocation: string | undefined,
  device: Device,
): Promise<OpenedModel> {
  const base = await openBaseModel(location);
  const adapter = adapterLocation === undefined ? undefined : await openAdapter(adapterLocation, base.config);
  const files =
    adapterLocation === undefined
      ? []
      : ['adapter_config.json', 'adapter_model.safetensors'].map((name) => path.join(adapterLocation, name));
  const latentIds = adapter ? (adapter.tokenRows?.ids ?? []) : latentIdsOf(base.processor.tokenizer);
  const setup = {
    config: base.config,
    weights: base.weights,
    trains: 'lora',
    lora: adapter?.config ?? NO_LORA,
    latentIds,
  } as const;
  const context = modelOf(setup, { weights: {}, lora: adapter?.lora ?? {}, rows: adapter?.tokenRows?.rows ?? null });
  return {
    model: new LatentModel({ context, processor: base.processor, device, latentIds }),
    name: [location, adapterLocation]
      .filter((part) => part !== undefined)
      .map((part) => path.basename(path.resolve(part)))
      .join(' + '),
    fingerprint: createHash('sha256')
      .update(base.fingerprint)
      .update(await fingerprintOf(files))
      .digest('hex'),
  };
}

const NO_LORA = { rank: 1, alpha: 1, dropout: 0, targetModules: [] };

async function openAdapter(location: string, config: Qwen2_5_VLConfig): Promise<PeftAdapter> {
  const adapter = await loadAdapter(location);
  checkAdapterFits(adapter, parameterShapes(config), location);
  return adapter;
}

const SAMPLED_BYTES = 2 ** 20;

/** SHA-256 over each file's size and its first and last mebibyte: enough to tell trainings apart, whatever the size. */
async function fingerprintOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      hash.update(`${path.basename(file)} ${size}\n`);
      for (const start of [0, Math.max(SAMPLED_BYTES, size - SAMPLED_BYTES)]) {
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(SAMPLED_BYTES), 0, SAMPLED_BYTES, start);
        hash.update(buffer.subarray(0, bytesRead));
      }
    } finally {
      await handle.close();
    }
  }
  return hash.digest('hex');
}
