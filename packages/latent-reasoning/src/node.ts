/** Adapters and training checkpoints as files. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { InvalidInputError } from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';
import { openSafetensorsFile, writeJsonAtomic, writeSafetensors } from '@mindseye/tensor-core/node';
import { type PeftAdapter, peftConfig, peftEntries, readPeftAdapter } from './lora/peft.js';
import { type RunIdentity, checkpointEntries, restoreCheckpoint } from './train/checkpoint.js';
import type { Trainables } from './train/trainables.js';
import type { TrainingState } from './train/trainer.js';

const [configFile, weightsFile] = ['adapter_config.json', 'adapter_model.safetensors'];

/** Writes a PEFT adapter folder. Each file is complete or not there. */
export async function saveAdapter(
  folder: string,
  adapter: PeftAdapter,
  baseModel: string,
  device: Device,
): Promise<void> {
  await writeSafetensors(path.join(folder, weightsFile), await peftEntries(adapter, device), { format: 'pt' });
  await writeJsonAtomic(path.join(folder, configFile), peftConfig(adapter, baseModel));
}

/** Reads a PEFT adapter folder. */
export async function loadAdapter(folder: string): Promise<PeftAdapter> {
  const location = path.join(folder, configFile);
  const source = await openSafetensorsFile(path.join(folder, weightsFile));
  try {
    return await readPeftAdapter(await readJsonFile(location), source, folder);
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
