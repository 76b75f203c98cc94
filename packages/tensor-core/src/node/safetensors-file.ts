/** Safetensors files and checkpoint folders on disk. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint, type CheckpointOptions, type SafetensorsCheckpoint } from '../safetensors/checkpoint.js';
import { SafetensorsReader } from '../safetensors/reader.js';
import { encodeSafetensors, type SafetensorsEntry } from '../safetensors/writer.js';
import { type AtomicWriteOptions, writeFileAtomic } from './atomic-write.js';
import { FileByteSource } from './file-byte-source.js';
import { explain, FileError } from './file-error.js';

/** Opens one file. @throws FileError when it cannot be read, SafetensorsError when it is not right. */
export async function openSafetensorsFile(path: string): Promise<SafetensorsReader> {
  const source = await FileByteSource.open(path);
  try {
    return await SafetensorsReader.open(source, path);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Opens the checkpoint in a folder, sharded or not.
 * @throws FileError when the folder or a file cannot be read, SafetensorsError when the checkpoint is not right.
 */
export async function openCheckpointFolder(
  folder: string,
  options: Omit<CheckpointOptions, 'location'> = {},
): Promise<SafetensorsCheckpoint> {
  const found = await stat(folder).catch((error: unknown) => {
    const { problem, cure } = explain(error);
    throw new FileError('read', folder, problem, cure, error);
  });
  if (!found.isDirectory())
    throw new FileError('read', folder, 'it is not a folder', 'name the folder that holds the checkpoint');
  return openCheckpoint((fileName) => FileByteSource.open(join(folder, fileName)), { ...options, location: folder });
}

/**
 * Writes a safetensors file in one step: it is there whole, or the old one is untouched.
 * @param metadata string notes, such as { format: 'pt' }, which transformers asks for.
 * @throws SafetensorsError for an entry that is not writable, FileError when the system refuses.
 */
export async function writeSafetensors(
  path: string,
  entries: readonly SafetensorsEntry[],
  metadata: Readonly<Record<string, string>> = {},
  options: Omit<AtomicWriteOptions, 'byteLength'> = {},
): Promise<void> {
  const encoded = encodeSafetensors(entries, metadata, path);
  await writeFileAtomic(path, encoded.chunks(), { ...options, byteLength: encoded.byteLength });
}
