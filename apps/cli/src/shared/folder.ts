/** Folders that a command writes a result into. */
import { mkdir, readdir } from 'node:fs/promises';
import { CommandError } from './errors.js';

/** Creates the folder if it is not there, and gives the names of what is in it. */
export async function openOutputFolder(folder: string): Promise<readonly string[]> {
  await mkdir(folder, { recursive: true });
  return readdir(folder);
}

/** As `openOutputFolder`; refuses a folder with files in it unless forced. */
export async function openEmptyFolder(folder: string, force: boolean): Promise<readonly string[]> {
  const names = await openOutputFolder(folder);
  if (names.length > 0 && !force) throw new CommandError(`${folder} is not empty; choose another folder, or --force to write into it`);
  return names;
}
