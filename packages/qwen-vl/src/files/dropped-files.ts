/**
 * What was dropped on a page: files, or a folder with what is in it.
 *
 * Source: the File and Directory Entries API, which every browser has for drops; `readEntries` gives a part of a folder at a
 * time and an empty list at its end.
 */
import { ModelFolderError } from '../errors.js';
import { type PathedFile, pathedFiles } from './file-list.js';
import type { ModelFiles } from './model-files.js';

/** Most files looked at: a dropped home folder must not hold up the page. */
const MAX_FILES = 10_000;
/** A checkpoint has its adapter one folder down; nothing lies deeper. */
const MAX_DEPTH = 5;

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
  files: PathedFile[],
): Promise<void> {
  for (const entry of entries) {
    const path = `${prefix}${entry.name}`;
    if (!isFolder(entry)) files.push({ path, file: await fileOf(entry as FileSystemFileEntry) });
    else if (depth < MAX_DEPTH) await addFiles(await entriesOf(entry), `${path}/`, depth + 1, files);
  }
}

/**
 * What was dropped, in a form that can be sent to a worker.
 *
 * @param items of the drop event's `dataTransfer`; to be passed within the event, after which a browser empties them
 * @throws ModelFolderError when nothing that is a file was dropped, or a folder has more than 10,000
 */
export async function droppedPaths(items: Iterable<DataTransferItem>): Promise<readonly PathedFile[]> {
  // Entries have to be taken before the first wait.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) throw new ModelFolderError('no files were dropped; drop the folder of a checkpoint');
  const files: PathedFile[] = [];
  await addFiles(entries, '', 0, files);
  return files;
}

/** The place that a drop is; as `droppedPaths`. */
export const droppedFiles = async (items: Iterable<DataTransferItem>): Promise<ModelFiles> =>
  pathedFiles(await droppedPaths(items));
