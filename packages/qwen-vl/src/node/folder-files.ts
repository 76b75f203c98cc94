/** A folder on disk as the place of a checkpoint. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FileByteSource } from '@mindseye/tensor-core/node';
import { ModelFolderError } from '../errors.js';
import type { ModelFiles } from '../files/model-files.js';

const REASONS: Readonly<Record<string, string>> = { ENOENT: 'no such folder', ENOTDIR: 'not a folder' };

/** Whether there is a folder at a path. */
export const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Names of the files of a folder; a symbolic link counts as what it leads to, as in a hub cache. */
async function fileNames(path: string): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const isFile = entry.isSymbolicLink() ? await leadsToFile(join(path, entry.name)) : !entry.isDirectory();
    if (isFile) names.add(entry.name);
  }
  return names;
}

const leadsToFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => !found.isDirectory(),
    () => false,
  );

/**
 * @param location what messages call it; its path when left out
 * @throws ModelFolderError when there is no such folder, or it may not be read
 */
export async function folderFiles(
  path: string,
  location: string = path.replace(/(?<=.)\/+$/, ''),
): Promise<ModelFiles> {
  let names: ReadonlySet<string>;
  try {
    names = await fileNames(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const reason = REASONS[code] ?? `cannot be read (${code})`;
    throw new ModelFolderError(
      `${location}: ${reason}; name a checkpoint folder, or a model on the hub as organisation/name`,
      { cause: error },
    );
  }
  return {
    location,
    names,
    async open(name) {
      if (!names.has(name)) throw new ModelFolderError(`${location}: missing ${name}; download the whole checkpoint`);
      return FileByteSource.open(join(path, name)).catch((error: unknown) => {
        throw new ModelFolderError(error instanceof Error ? error.message : String(error), { cause: error });
      });
    },
    async folder(name) {
      return (await isFolder(join(path, name))) ? folderFiles(join(path, name), `${location}/${name}`) : undefined;
    },
  };
}
