/**
 * What opening a model of the hub would take, before it is done: only lists and config.json are asked for.
 *
 * Bytes to fetch are those of the files that the page's storage lacks. A model that could not run here in the end, or would
 * not fit into that storage, is refused now and not after an hour of fetching.
 */
import {
  InvalidInputError,
  MODEL_PARTS,
  type ModelFiles,
  ModelFolder,
  byteCount,
  findMissing,
  openHubModel,
} from '@mindseye/qwen-vl';
import type { Calls } from './protocol.js';
import { requireRoom } from './weight-storage.js';

export async function lookUp({ name, ...choices }: Calls['lookUp']['request']): Promise<Calls['lookUp']['result']> {
  if (!(navigator.storage as StorageManager | undefined)?.getDirectory)
    throw new InvalidInputError(
      `${name} has nowhere to be kept: this browser gives the page no storage; open the page by https or on localhost, or open a folder`,
    );
  const kept = await keptFiles(name);
  if (kept && (await findMissing(kept, MODEL_PARTS)).length === 0) return { bytes: 0 };
  const remoteParts = MODEL_PARTS.filter((part) => part !== 'config');
  const files = await openHubModel(name, { parts: ['config'], remoteParts });
  const sizes = await Promise.all(
    [...files.names].map(async (file): Promise<[string, number]> => [file, await sizeOf(files, file)]),
  );
  const total = (isCounted: (file: string) => boolean): number =>
    sizes.reduce((sum, [file, size]) => sum + (isCounted(file) ? size : 0), 0);

  const folder = await ModelFolder.open(files, ['config']);
  const weights = total((file) => file.endsWith('.safetensors'));
  requireRoom({ location: files.location, config: await folder.config(), bytes: weights }, choices);
  const there = (await keptFiles(name))?.names ?? new Set();
  const bytes = total((file) => !there.has(file));
  await requireStorage(files.location, bytes);
  return { bytes };
}

/** What the page's storage has of a model; no request is made. */
const keptFiles = (name: string): Promise<ModelFiles | undefined> =>
  openHubModel(name, { parts: [], offline: true }).catch(() => undefined);

/** A file on the hub is not read for this: its size is in the hub's list. */
async function sizeOf(files: ModelFiles, name: string): Promise<number> {
  const source = await files.open(name);
  await source.close?.();
  return source.size;
}

async function requireStorage(location: string, bytes: number): Promise<void> {
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  const free = Math.max(0, quota - usage);
  if (bytes > free)
    throw new InvalidInputError(
      `${location} has ${byteCount(bytes)} to fetch, and this browser gives the page ${byteCount(free)}; free space, or download the folder and open it from there`,
    );
}
