/** A temporary folder with a small model of random weights in it. */
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { succeed } from './command.js';

export interface Workspace {
  /** A path in the folder. */
  at(...parts: string[]): string;
  /** A copy of the model, to be damaged. */
  copyOfModel(name: string): Promise<string>;
}

/** Makes the folder before the tests of a file and removes it after them. The model is at `model`. */
export function useWorkspace(): Workspace {
  let folder = '';
  const at = (...parts: string[]): string => path.join(folder, ...parts);
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'mindseye-cli-'));
    await succeed('init', at('model'), '--preset', 'nano');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return {
    at,
    async copyOfModel(name) {
      await cp(at('model'), at(name), { recursive: true });
      return at(name);
    },
  };
}

/** Content of every file of a folder, by name. */
export async function contentOf(folder: string): Promise<Record<string, Buffer>> {
  const names = await readdir(folder);
  return Object.fromEntries(
    await Promise.all(names.sort().map(async (name) => [name, await readFile(path.join(folder, name))] as const)),
  );
}
