/** Models of a hub in a page: kept in the page's own file system (OPFS), fetched on request only. */
import { ModelFolderError, quoteValue } from '../../errors.js';
import type { Fetch } from '../http-byte-source.js';
import type { ModelFiles } from '../model-files.js';
import { hubFiles, type HubFilesOptions } from './hub-files.js';
import { opfsCache, type OpfsDirectory } from './opfs-cache.js';
import { parseRepository } from './repository.js';

export const HUGGING_FACE = 'https://huggingface.co';

export interface BrowserHubOptions extends HubFilesOptions {
  /** Branch, tag or commit; `main` when neither this nor the name has one. */
  readonly revision?: string;
  readonly token?: string;
  /** Address of the hub; Hugging Face when left out. */
  readonly endpoint?: string;
  /** Folder of the cache; `huggingface/hub` of the page's own file system when left out. */
  readonly cache?: OpfsDirectory;
  readonly fetch?: Fetch;
  readonly signal?: AbortSignal;
}

/**
 * Opens a model of a hub, such as `Qwen/Qwen2.5-VL-3B-Instruct` or `Qwen/Qwen2.5-VL-3B-Instruct@main`.
 * Best called in a worker: only there can a page's file system be written in place, and a killed fetch keep all that came.
 * @throws ModelFolderError naming the model, the file and what to do
 */
export async function openHubModel(model: string, options: BrowserHubOptions = {}): Promise<ModelFiles> {
  const repository = parseRepository(model, options.revision);
  if (!repository)
    throw new ModelFolderError(`${quoteValue(model)} is no name of a model; give one like organisation/name@revision`);
  const {
    token,
    signal,
    endpoint = HUGGING_FACE,
    fetch = (address, init) => globalThis.fetch(address, init),
  } = options;
  const folder = options.cache ?? (await cacheFolder());
  const access = {
    endpoint: endpoint.replace(/\/+$/, ''),
    fetch,
    ...(token !== undefined && { token }),
    ...(signal && { signal }),
  };
  return hubFiles(repository, await opfsCache(folder, repository.name), access, options);
}

async function cacheFolder(): Promise<OpfsDirectory> {
  const root: OpfsDirectory = await navigator.storage.getDirectory();
  return (await root.getDirectoryHandle('huggingface', { create: true })).getDirectoryHandle('hub', { create: true });
}
