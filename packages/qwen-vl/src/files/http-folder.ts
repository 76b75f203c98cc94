/** A folder of files under an address: by ranges where the server gives them, so that a checkpoint is never loaded whole. */
import { ModelFolderError } from '../errors.js';
import { filesByPath } from './files-by-path.js';
import { openAddress, type Fetch } from './http-byte-source.js';
import { KNOWN_FILE_NAMES } from './known-files.js';
import { shardNames } from './missing-files.js';
import type { ModelFiles } from './model-files.js';

export interface HttpFolderOptions {
  /**
   * Paths of the files that are there, relative to the folder; no other is asked for. HTTP cannot list a folder: when left out,
   * the server is asked about each known file, and then about the shards of the index.
   */
  readonly names?: readonly string[];
  /** The global `fetch` when left out. */
  readonly fetch?: Fetch;
}

/**
 * @param base absolute address of the folder
 * @throws ModelFolderError when the address is none, or (without `names`) cannot be reached
 */
export async function httpFolder(base: string, options: HttpFolderOptions = {}): Promise<ModelFiles> {
  const { fetch = (address, init) => globalThis.fetch(address, init) } = options;
  const location = base.replace(/\/+$/, '');
  if (!URL.canParse(`${location}/`))
    throw new ModelFolderError(`${base} is not an absolute address; begin it with https://`);
  const folderOf = (names: readonly string[]): ModelFiles =>
    filesByPath(location, names, (path) => openAddress(new URL(escapePath(path), `${location}/`).href, fetch));
  if (options.names) return folderOf(options.names);

  const present = async (names: readonly string[]): Promise<string[]> => {
    const answers = await Promise.all(
      names.map((name) => isThere(new URL(escapePath(name), `${location}/`).href, fetch)),
    );
    return names.filter((_, i) => answers[i]);
  };
  const known = await present(KNOWN_FILE_NAMES);
  const shards = (await shardNames(folderOf(known))) ?? [];
  return folderOf([...known, ...(await present(shards))]);
}

/** A name keeps its characters, whatever they mean in an address. */
const escapePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

async function isThere(address: string, fetch: Fetch): Promise<boolean> {
  const response = await fetch(address, { method: 'HEAD' }).catch((error: unknown) => {
    throw new ModelFolderError(`${address} cannot be reached; check the connection`, { cause: error });
  });
  // Servers of single pages answer every address with their page.
  return response.ok && !(response.headers.get('Content-Type') ?? '').startsWith('text/html');
}
