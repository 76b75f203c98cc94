/**
 * Models of a hub in Node: where the cache, the token and the hub are comes from the environment, as for the Python library.
 *
 *   cache     HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub
 *   token     HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH or HF_HOME/token that `hf auth login` writes
 *   hub       HF_ENDPOINT, https://huggingface.co
 *   offline   HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
 *
 * Source: huggingface_hub `constants.py` and `utils/_auth.py`.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { InvalidInputError, quoteValue } from '../errors.js';
import { HUGGING_FACE } from '../files/hub/browser-hub.js';
import { hubFiles, type HubFilesOptions } from '../files/hub/hub-files.js';
import type { HubRepository } from '../files/hub/repository.js';
import type { Fetch } from '../files/http-byte-source.js';
import type { ModelFiles } from '../files/model-files.js';
import { diskCache } from './hub-cache.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HubOptions extends HubFilesOptions {
  /** In place of the environment's; an empty one means none. */
  readonly token?: string;
  /** Address of the hub, in place of the environment's. */
  readonly endpoint?: string;
  /** Folder of the cache, in place of the environment's. */
  readonly cacheFolder?: string;
  /** Of this process when left out. */
  readonly environment?: Environment;
  /** The global `fetch` when left out. */
  readonly fetch?: Fetch;
  readonly signal?: AbortSignal;
}

const isSet = (value: string | undefined): value is string => value !== undefined && value.trim() !== '';

/** The first of some variables that has a value. */
const first = (environment: Environment, ...names: readonly string[]): string | undefined =>
  names.map((name) => environment[name]).find(isSet);

const expandHome = (path: string): string => (/^~(?=\/|$)/.test(path) ? join(homedir(), path.slice(1)) : path);

const homeFolder = (environment: Environment): string =>
  expandHome(
    first(environment, 'HF_HOME') ??
      join(first(environment, 'XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface'),
  );

/** The folder that models are cached in. */
export const hubCacheFolder = (environment: Environment = process.env): string =>
  expandHome(first(environment, 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? join(homeFolder(environment), 'hub'));

/** The token of the environment, or of the file that a login has left; undefined when there is none. */
export async function hubToken(environment: Environment = process.env): Promise<string | undefined> {
  const named = first(environment, 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN');
  if (named !== undefined) return named.trim();
  const path = expandHome(first(environment, 'HF_TOKEN_PATH') ?? join(homeFolder(environment), 'token'));
  const text = await readFile(path, 'utf8').catch(() => '');
  return isSet(text) ? text.trim() : undefined;
}

/** Whether the environment forbids requests. */
export const isOffline = (environment: Environment = process.env): boolean =>
  ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].some((name) => /^(1|on|yes|true)$/i.test(environment[name]?.trim() ?? ''));

function checkedEndpoint(endpoint: string): string {
  const address = endpoint.trim().replace(/\/+$/, '');
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  throw new InvalidInputError(`HF_ENDPOINT ${quoteValue(endpoint)} is not an address; give one like ${HUGGING_FACE}`);
}

/**
 * Opens a model of a hub, fetching what the cache lacks.
 * @throws ModelFolderError naming the model, the file and what to do; FileError when the cache cannot be written
 */
export async function openHubFiles(repository: HubRepository, options: HubOptions = {}): Promise<ModelFiles> {
  const { environment = process.env, signal, fetch = (address, init) => globalThis.fetch(address, init) } = options;
  const token = options.token ?? (await hubToken(environment)) ?? '';
  const access = {
    endpoint: checkedEndpoint(options.endpoint ?? first(environment, 'HF_ENDPOINT') ?? HUGGING_FACE),
    fetch,
    ...(token !== '' && { token }),
    ...(signal && { signal }),
  };
  const cache = diskCache(options.cacheFolder ?? hubCacheFolder(environment), repository.name);
  return hubFiles(repository, cache, access, { ...options, offline: options.offline ?? isOffline(environment) });
}
