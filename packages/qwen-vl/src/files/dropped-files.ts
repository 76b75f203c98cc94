/**
 * What was dropped on a page: files, or a folder with what is in it.
 *
 * Source: the File and Directory Entries API, which every browser has for drops; `readEntries` gives a part of a folder at a
 * time and an empty list at its end.
 */
import { blobSource } from '@mindseye/tensor-core';
import { ModelFolderError } from '../errors.js';
import { filesByPath } from './files-by-path.js';
import type { ModelFiles } from './model-files.js';

/** Most files looked at: a dropped home folder must not hold up the page. */
const MAX_FILES = 10_000;
/** A checkpoint has its adapter one folder down; nothing lies deeper. */
const MAX_DEPTH = 4;

const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;

const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));

async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
    if (all.length > MAX_FILES)
      throw new ModelFolderError(`${folder.name} has more than ${MAX_FILES} files; drop the folder of a checkpoint`);
  }
}

async function addFiles(
  entries: readonly FileSystemEntry[],
  prefix: string,
  depth: number,
  files: Map<string, FileSystemFileEntry>,
): Promise<void> {
  for (const entry of entries) {
    const path = `${prefix}${entry.name}`;
    if (!isFolder(entry)) files.set(path, entry as FileSystemFileEntry);
    else if (depth < MAX_DEPTH) await addFiles(await entriesOf(entry), `${path}/`, depth + 1, files);
  }
}

/**
 * @param items of the drop event's `dataTransfer`; to be passed within the event, after which a browser empties them
 * @throws ModelFolderError when nothing that is a file was dropped
 */
export async function droppedFiles(items: Iterable<DataTransferItem>): Promise<ModelFiles> {
  // Entries have to be taken before the first wait.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const [first] = entries;
  if (!first) throw new ModelFolderError('no files were dropped; drop the folder of a checkpoint');
  const root = entries.length === 1 && isFolder(first) ? first : undefined;
  const files = new Map<string, FileSystemFileEntry>();
  await addFiles(root ? await entriesOf(root) : entries, '', 0, files);
  return filesByPath(root?.name ?? 'the dropped files', files.keys(), async (path) =>
    blobSource(await fileOf(files.get(path)!)),
  );
}
