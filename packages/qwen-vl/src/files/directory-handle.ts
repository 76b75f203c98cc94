/**
 * A folder behind a `FileSystemDirectoryHandle`: one that a person picked (`showDirectoryPicker`), one that was dropped, or one
 * of the page's own (OPFS, `navigator.storage.getDirectory()`). All are the same interface.
 */
import { blobSource } from '@mindseye/tensor-core';
import { ModelFolderError } from '../errors.js';
import type { ModelFiles } from './model-files.js';
import { readFailure } from './read-file.js';

/** The part of `FileSystemDirectoryHandle` that is used. */
export interface DirectoryHandle {
  readonly name: string;
  values(): AsyncIterable<{ readonly kind: 'file' | 'directory'; readonly name: string }>;
  getFileHandle(name: string): Promise<{ getFile(): Promise<Blob> }>;
  getDirectoryHandle(name: string): Promise<DirectoryHandle>;
}

/** Most names read of a folder. */
const MAX_NAMES = 100_000;

/**
 * @param location what messages call it; its own name when left out
 * @throws ModelFolderError when it cannot be listed: gone, or not permitted
 */
export async function directoryFiles(handle: DirectoryHandle, location: string = handle.name): Promise<ModelFiles> {
  const names = new Set<string>();
  const folders = new Set<string>();
  try {
    for await (const { kind, name } of handle.values()) {
      if (kind === 'file') names.add(name);
      else folders.add(name);
      if (names.size + folders.size > MAX_NAMES)
        throw new ModelFolderError(`${location} has more than ${MAX_NAMES} files; choose the folder of a checkpoint`);
    }
  } catch (error) {
    throw readFailure(location, error);
  }
  return {
    location,
    names,
    async open(name) {
      if (!names.has(name)) throw new ModelFolderError(`${location}: missing ${name}; choose the whole folder`);
      try {
        return blobSource(await (await handle.getFileHandle(name)).getFile());
      } catch (error) {
        throw readFailure(`${location}/${name}`, error);
      }
    },
    async folder(name) {
      if (!folders.has(name)) return undefined;
      return directoryFiles(await handle.getDirectoryHandle(name), `${location}/${name}`);
    },
  };
}
