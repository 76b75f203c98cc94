/**
 * Writes the weights of a checkpoint folder, in one file or in shards, as transformers does.
 *
 *   all tensors fit `shardBytes`   model.safetensors
 *   else                           model-00001-of-0000n.safetensors, …, and model.safetensors.index.json:
 *                                  { "metadata": { "total_size": bytes of all tensors }, "weight_map": { name: shard } }
 *
 * A shard takes tensors in the order given until the next would pass the limit; a tensor above the limit has a shard of its own.
 *
 * Every file is written under a temporary name first; only when all are there are the old weights of the folder removed and
 * the new ones given their names, the index last. Stopped before that, the folder is as it was; stopped within, it lacks the
 * index (or the file) and does not load. It is never a mixture that does.
 *
 * Memory contract: an entry's `data` function is called when its turn comes, and what it gives is dropped before the next.
 * Within a file the turns follow the safetensors order: wide element types before narrow ones, each by name.
 * Source: huggingface_hub `serialization/_base.py`, split_state_dict_into_shards_factory; transformers `save_pretrained`.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type SafetensorsEntry, encodeSafetensors, sizeOfShape } from '@mindseye/tensor-core';
import {
  type AtomicFileSystem,
  FileError,
  nodeFileSystem,
  writeJsonAtomic,
  writeSafetensors,
} from '@mindseye/tensor-core/node';

/** Transformers' limit of old, 5 GB: small enough for every file system and for downloads that break. */
export const DEFAULT_SHARD_BYTES = 5e9;

const SINGLE = 'model.safetensors';
const INDEX = `${SINGLE}.index.json`;
const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;

export interface SaveCheckpointOptions {
  /** Most bytes of tensors in one file; `DEFAULT_SHARD_BYTES` when left out. */
  readonly shardBytes?: number;
  /** Notes for each file's header; `{ format: 'pt' }`, which transformers asks for, when left out. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Told after each tensor has been asked for, for progress bars. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops before the next tensor; the folder stays as it was. */
  readonly signal?: AbortSignal;
  /** The machine's file system when left out. */
  readonly fileSystem?: AtomicFileSystem;
}

export interface SavedCheckpoint {
  /** Plain names of the files written, the index last. */
  readonly files: readonly string[];
  /** Bytes of all tensors: `total_size`. */
  readonly byteLength: number;
}

interface ShardPlan {
  readonly file: string;
  readonly entries: readonly SafetensorsEntry[];
}

const bytesOf = ({ shape, dtype }: SafetensorsEntry): number => sizeOfShape(shape, dtype)!.byteLength;
const sumOf = (entries: readonly SafetensorsEntry[]): number =>
  entries.reduce((total, entry) => total + bytesOf(entry), 0);

/** Which file holds which tensors. */
function planShards(entries: readonly SafetensorsEntry[], shardBytes: number): ShardPlan[] {
  const shards: SafetensorsEntry[][] = [];
  let room = 0;
  for (const entry of entries) {
    const bytes = bytesOf(entry);
    if (shards.length === 0 || bytes > room) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)!.push(entry);
    room -= bytes;
  }
  const number = (value: number): string => String(value).padStart(5, '0');
  return shards.length <= 1
    ? [{ file: SINGLE, entries }]
    : shards.map((shard, i) => ({
        file: `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`,
        entries: shard,
      }));
}

/**
 * Writes the weights of a checkpoint into a folder, which is created if needed; other files in it are left alone.
 *
 * @param entries every tensor once, in the order that shards are filled in.
 * @throws SafetensorsError for an entry that cannot be written or gives the wrong array; FileError naming the file and the
 *   cure when the system refuses (a full disk, say); the signal's reason. Weights that were in the folder are then as before,
 *   except after a failure of the very last step, the renaming.
 */
export async function saveCheckpoint(
  folder: string,
  entries: readonly SafetensorsEntry[],
  options: SaveCheckpointOptions = {},
): Promise<SavedCheckpoint> {
  const { shardBytes = DEFAULT_SHARD_BYTES, metadata = { format: 'pt' }, fileSystem = nodeFileSystem } = options;
  if (!(shardBytes >= 1)) throw new RangeError(`shardBytes is ${shardBytes}: give a number of bytes from 1 up`);
  // The whole set at once: shards alone would not see a name that occurs twice.
  encodeSafetensors(entries, metadata, folder);
  const shards = planShards(entries, shardBytes);
  const turn = takeTurns(entries.length, options);
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new FileError('write', folder, 'the folder cannot be created', 'choose another', cause);
  });
  const renames: { readonly from: string; readonly to: string }[] = [];
  const waiting = withoutRenaming(fileSystem, (from, to) => renames.push({ from, to }));
  const byteLength = sumOf(entries);
  const index = shards.length > 1 ? [INDEX] : [];
  const files = [...shards.map(({ file }) => file), ...index];
  try {
    for (const shard of shards)
      await writeSafetensors(join(folder, shard.file), shard.entries.map(turn), metadata, { fileSystem: waiting });
    options.signal?.throwIfAborted();
    await fileSystem.remove(join(folder, INDEX));
    if (index.length > 0) await fileSystem.remove(join(folder, SINGLE));
    for (const { from, to } of renames) await fileSystem.rename(from, to);
  } catch (error) {
    // The first error is the one to report.
    for (const { from } of renames) await fileSystem.remove(from).catch(() => undefined);
    throw error;
  }
  if (index.length > 0) await writeJsonAtomic(join(folder, INDEX), indexOf(shards, byteLength), { fileSystem });
  else await fileSystem.syncFolder(folder).catch(() => undefined);
  const stale = (await readdir(folder)).filter((name) => SHARD.test(name) && !files.includes(name));
  for (const name of stale) await fileSystem.remove(join(folder, name));
  return { files, byteLength };
}

/** The same entry, which looks at the signal before it gives its data and tells the progress after. */
function takeTurns(total: number, { signal, onProgress }: SaveCheckpointOptions) {
  let done = 0;
  return (entry: SafetensorsEntry): SafetensorsEntry => ({
    ...entry,
    data: async () => {
      signal?.throwIfAborted();
      const data = typeof entry.data === 'function' ? await entry.data() : entry.data;
      onProgress?.(++done, total);
      return data;
    },
  });
}

/** A file system whose files keep their temporary names; what would have been renamed is noted. */
const withoutRenaming = (fileSystem: AtomicFileSystem, note: (from: string, to: string) => void): AtomicFileSystem => ({
  create: (path) => fileSystem.create(path),
  rename: (from, to) => Promise.resolve(note(from, to)),
  remove: (path) => fileSystem.remove(path),
  syncFolder: (path) => fileSystem.syncFolder(path),
});

const byName = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : 1);

const indexOf = (shards: readonly ShardPlan[], byteLength: number): object => ({
  metadata: { total_size: byteLength },
  weight_map: Object.fromEntries(
    shards.flatMap(({ file, entries }) => entries.map(({ name }) => [name, file] as const)).toSorted(byName),
  ),
});
