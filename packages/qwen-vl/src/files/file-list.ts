/**
 * The files that a person chose or dropped in a browser: `<input type="file" webkitdirectory>`, a plain choice of several files,
 * or what `drop` gives. Nothing is read before it is asked for, and then only its range.
 */
import { blobSource } from '@mindseye/tensor-core';
import { ModelFolderError } from '../errors.js';
import { filesByPath } from './files-by-path.js';
import type { ModelFiles } from './model-files.js';

/** A file with its path, which a file loses when it is sent to a worker, and never has when it was dropped. */
export interface PathedFile {
  /** With `/` between folders. */
  readonly path: string;
  readonly file: File;
}

/**
 * @param files of one folder, whose name begins all paths, or without a folder
 * @throws ModelFolderError when there is none
 */
export function pathedFiles(files: Iterable<PathedFile>): ModelFiles {
  const byPath = new Map([...files].map(({ path, file }) => [path, file]));
  const [first] = byPath.keys();
  if (first === undefined) throw new ModelFolderError('no files were chosen; choose the folder of a checkpoint');
  const root = first.slice(0, first.indexOf('/') + 1);
  const isFolder = root !== '' && [...byPath.keys()].every((path) => path.startsWith(root));
  const skipped = isFolder ? root.length : 0;
  const location = isFolder ? root.slice(0, -1) : 'the chosen files';
  return filesByPath(
    location,
    [...byPath.keys()].map((path) => path.slice(skipped)),
    async (path) => blobSource(byPath.get(`${isFolder ? root : ''}${path}`)!),
  );
}

/** @param files of an input with `webkitdirectory` (paths begin with the folder's name), or without (names only) */
export const pathsOf = (files: Iterable<File>): PathedFile[] =>
  [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/** As `pathedFiles`, of what an input gives. */
export const fileListFiles = (files: Iterable<File>): ModelFiles => pathedFiles(pathsOf(files));
