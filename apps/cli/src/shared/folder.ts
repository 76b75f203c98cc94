/** Places that a command writes to, looked at before any work is done. */
import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { CommandError } from './errors.js';

/** Names in a folder; none where there is no folder yet. */
export async function listFolder(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
}

/** Refuses a folder with files in it, unless forced. */
export async function checkEmptyFolder(folder: string, force: boolean): Promise<void> {
  const names = await listFolder(folder);
  if (names.length > 0 && !force)
    throw new CommandError(`${folder} is not empty; choose another folder, or --force to write into it`);
}

/**
 * Whether a file that is to be written is there already.
 * @throws CommandError when its folder is missing, or when what is there is no regular file: a device must not be replaced
 */
export async function outputFileExists(file: string): Promise<boolean> {
  const found = await statOf(file);
  if (found && !found.isFile()) throw new CommandError(`${file} is not a regular file; name another to write to`);
  const folder = path.dirname(path.resolve(file));
  if (!found && !(await statOf(folder))?.isDirectory())
    throw new CommandError(`${file} cannot be written: there is no folder ${folder}; create it first`);
  return found !== undefined;
}

const statOf = (location: string): Promise<Stats | undefined> =>
  stat(location).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';
