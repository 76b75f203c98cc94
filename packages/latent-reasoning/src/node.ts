/** Adapters and training checkpoints as files. */
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { InvalidInputError } from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';
import { openSafetensorsFile, writeJsonAtomic, writeSafetensors } from '@mindseye/tensor-core/node';
import type { PeftAdapter } from './lora/adapter.js';
import { type PeftEntriesOptions, peftEntries } from './lora/peft.js';
import { peftConfig } from './lora/peft-config.js';
import { readAdapter } from './lora/read-adapter.js';
import { type RunIdentity, checkpointEntries, restoreCheckpoint } from './train/checkpoint.js';
import type { Trainables } from './train/trainables.js';
import type { TrainingState } from './train/trainer.js';

const [configFile, weightsFile, mlxWeightsFile] = [
  'adapter_config.json',
  'adapter_model.safetensors',
  'adapters.safetensors',
];

/** Writes a PEFT adapter folder. Each file is complete or not there. */
export async function saveAdapter(
  folder: string,
  adapter: PeftAdapter,
  baseModel: string,
  device: Device,
  options: PeftEntriesOptions = {},
): Promise<void> {
  await writeSafetensors(path.join(folder, weightsFile), await peftEntries(adapter, device, options), { format: 'pt' });
  await writeJsonAtomic(path.join(folder, configFile), peftConfig(adapter, baseModel, options));
}

/** Reads an adapter folder of PEFT, or of MLX. */
export async function loadAdapter(folder: string): Promise<PeftAdapter> {
  const location = path.join(folder, configFile);
  const names = await readdir(folder).catch((): string[] => []);
  const file = names.includes(mlxWeightsFile) && !names.includes(weightsFile) ? mlxWeightsFile : weightsFile;
  const source = await openSafetensorsFile(path.join(folder, file));
  try {
    return await readAdapter(await readJsonFile(location), source, folder);
  } finally {
    await source.close();
  }
}

async function readJsonFile(location: string): Promise<unknown> {
  const text = await readFile(location, 'utf8').catch((cause: unknown) => {
    throw new InvalidInputError(
      `${location} cannot be read: an adapter folder holds ${configFile} and ${weightsFile}`,
      { cause },
    );
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidInputError(`${location} is not JSON: copy the file again`, { cause });
  }
}

/** Writes the state of a run, so that `loadCheckpoint` goes on with it to the bit. */
export async function saveCheckpoint(
  file: string,
  state: TrainingState,
  identity: RunIdentity,
  device: Device,
): Promise<void> {
  const { entries, metadata } = await checkpointEntries(state, identity, device);
  await writeSafetensors(file, entries, metadata);
}

export async function loadCheckpoint(file: string, like: Trainables, identity: RunIdentity): Promise<TrainingState> {
  const source = await openSafetensorsFile(file);
  try {
    return await restoreCheckpoint(source, source.metadata, like, identity, file);
  } finally {
    await source.close();
  }
}
