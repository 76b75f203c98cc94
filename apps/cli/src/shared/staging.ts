/**
 * A folder that appears whole or not at all: files are written into a hidden one beside it, which takes its name at the end.
 *
 * Into a folder that holds files (only when forced) the files are moved one by one, weights and configuration last, and old
 * weights are removed first: stopped in between, what is there does not load.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { listFolder } from './folder.js';

const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/;
/** What makes a folder load, in the order it is moved. */
const LAST: readonly string[] = ['config.json', 'model.safetensors', 'model.safetensors.index.json'];

/** @param fill writes the files; when it rejects, nothing is left behind. */
export async function writeFolder<T>(folder: string, fill: (staging: string) => Promise<T>): Promise<T> {
  const parent = path.dirname(path.resolve(folder));
  const staging = path.join(parent, `.${path.basename(path.resolve(folder))}.${randomUUID().slice(0, 8)}`);
  await mkdir(staging, { recursive: true });
  try {
    const result = await fill(staging);
    await takePlace(staging, folder);
    return result;
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

async function takePlace(staging: string, folder: string): Promise<void> {
  const before = await listFolder(folder);
  if (before.length === 0) {
    await rmdir(folder).catch(() => undefined);
    return rename(staging, folder);
  }
  for (const name of before.filter((old) => WEIGHTS.test(old))) await rm(path.join(folder, name));
  const names = await readdir(staging);
  const order = [...names.filter((name) => !LAST.includes(name)), ...LAST.filter((name) => names.includes(name))];
  for (const name of order) await rename(path.join(staging, name), path.join(folder, name));
  await rm(staging, { recursive: true });
}
