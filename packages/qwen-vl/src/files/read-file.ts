/**
 * Text and JSON files of a checkpoint, from any place: bounded in size before they are read, and every failure in one line that
 * names the file.
 */
import type { ByteSource } from '@mindseye/tensor-core';
import { InvalidInputError, ModelFolderError, oneLine } from '../errors.js';
import type { ModelFiles } from './model-files.js';

/** What messages call a file of a place. */
export const fileLabel = (files: ModelFiles, name: string): string => `${files.location}/${name}`;

/** An error of any kind in the words of a checkpoint file; errors that already are stay themselves. */
export function readFailure(label: string, error: unknown): InvalidInputError {
  if (error instanceof InvalidInputError) return error;
  const reason = error instanceof Error ? error.message || error.name : String(error);
  return new ModelFolderError(`${label}: cannot be read (${oneLine(reason, 200)}); check the file, or get it again`, {
    cause: error,
  });
}

/**
 * Opens a file that has to be there.
 * @throws ModelFolderError naming it when it is not, or cannot be opened
 */
export async function openFile(files: ModelFiles, name: string): Promise<ByteSource> {
  const label = fileLabel(files, name);
  if (!files.names.has(name))
    throw new ModelFolderError(`${files.location}: missing ${name}; download the whole checkpoint`);
  return files.open(name).catch((error: unknown) => Promise.reject(readFailure(label, error)));
}

/**
 * Reads a whole file.
 * @param maxBytes refuse a file above this size before reading it
 * @throws ModelFolderError naming the file: missing, not a file, too large
 */
export async function readBytes(files: ModelFiles, name: string, maxBytes: number): Promise<Uint8Array> {
  const label = fileLabel(files, name);
  const source = await openFile(files, name);
  try {
    if (source.size > maxBytes) {
      throw new ModelFolderError(
        `${label}: the file has ${source.size} bytes, above the limit of ${maxBytes} for this kind of file; it is not what its name says`,
      );
    }
    return await source.read(0, source.size);
  } catch (error) {
    throw readFailure(label, error);
  } finally {
    await source.close?.();
  }
}

/** Reads a text file as UTF-8. @throws ModelFolderError as `readBytes`, or if it is not UTF-8 */
export async function readText(files: ModelFiles, name: string, maxBytes: number): Promise<string> {
  const bytes = await readBytes(files, name, maxBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ModelFolderError(`${fileLabel(files, name)}: the file is not UTF-8 text; download it again`, {
      cause: error,
    });
  }
}

/** Reads a JSON file. @throws ModelFolderError as `readText`, or if it is not JSON */
export async function readJson(files: ModelFiles, name: string, maxBytes: number): Promise<unknown> {
  const text = await readText(files, name, maxBytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = oneLine(error instanceof Error ? error.message : String(error), 120);
    throw new ModelFolderError(`${fileLabel(files, name)}: not valid JSON (${reason}); download the file again`, {
      cause: error,
    });
  }
}
