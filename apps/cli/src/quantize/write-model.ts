/** A quantised checkpoint as a folder: weights, config.json that says how they are stored, everything else as in the source. */
import { mkdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import {
  type ModelFolder,
  type QuantizationPlan,
  type QuantizationPolicy,
  quantizeCheckpoint,
  quantizedConfigJson,
  unquantizedConfig,
} from '@mindseye/qwen-vl';
import { saveCheckpoint } from '@mindseye/qwen-vl/node';
import type { Device } from '@mindseye/tensor-core';
import { writeJsonAtomic } from '@mindseye/tensor-core/node';
import { copyAllButWeights } from '../shared/copy-files.js';
import { CommandError } from '../shared/errors.js';
import { writeFolder } from '../shared/staging.js';

/** Scales wait in memory until the codes of their file are written: smaller files, less waiting. */
const SHARD_BYTES = 2e9;

export interface WriteOptions {
  readonly policy: QuantizationPolicy;
  readonly device: Device;
  readonly signal: AbortSignal;
  /** Called with the number of tensors when it is known. */
  readonly onStart: (total: number) => (done: number) => void;
}

/** Quantises a model into a folder that loads, whole or not at all. */
export async function writeQuantizedModel(
  source: ModelFolder,
  folder: string,
  { policy, device, signal, onStart }: WriteOptions,
): Promise<QuantizationPlan> {
  const { location } = source;
  const json = unquantizedConfig(await source.json('config.json'), location);
  const config = await source.config();
  const checkpoint = await source.checkpoint();
  try {
    const { plan, entries } = quantizeCheckpoint(checkpoint, config, { ...policy, device, location });
    await checkRoom(folder, plan.bytesAfter);
    const onProgress = onStart(entries.length);
    await writeFolder(folder, async (staging) => {
      await copyAllButWeights(source.files, staging);
      await writeJsonAtomic(path.join(staging, 'config.json'), quantizedConfigJson(json, plan, location));
      await saveCheckpoint(staging, entries, { shardBytes: SHARD_BYTES, signal, onProgress });
    });
    return plan;
  } finally {
    await checkpoint.close();
  }
}

/** Said before an hour of work, not after. */
async function checkRoom(folder: string, bytes: number): Promise<void> {
  const parent = path.dirname(path.resolve(folder));
  await mkdir(parent, { recursive: true });
  const { bavail, bsize } = await statfs(parent);
  const free = bavail * bsize;
  if (free < bytes)
    throw new CommandError(
      `${folder} needs ${bytes} bytes and its disk has ${free} free; free space or choose another folder`,
    );
}
