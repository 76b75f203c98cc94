/**
 * A model on a hub as a place: what is needed is fetched into a cache, once; the rest can be read where it is, by ranges.
 *
 *   revision -> commit      pinned in the cache when it is first asked for; later opens stay there unless told to refresh
 *   cache has all           no request at all
 *   offline                 the cache, or an error that names what it lacks
 *   else                    list of the commit's files -> the needed ones, resumed and checked (`download.ts`)
 *
 * Only files of the table in `known-files.ts` and the shards of the index are fetched: never pickled weights.
 */
import type { ByteSource } from '@mindseye/tensor-core';
import { ModelFolderError } from '../../errors.js';
import { httpByteSource } from '../http-byte-source.js';
import { KNOWN_FILE_NAMES, KNOWN_FILES, MODEL_PARTS, type ModelFolderPart } from '../known-files.js';
import { findMissing, type MissingFile, missingFilesError, missingNames, shardNames } from '../missing-files.js';
import type { ModelFiles } from '../model-files.js';
import { download, type RetryPolicy } from './download.js';
import { fetchCommit, fetchFileList, fileAddress, type HubAccess, type HubFile, hubHeaders } from './hub-api.js';
import type { HubCache } from './hub-cache.js';
import { type HubRepository, isCommit, repositoryLabel } from './repository.js';

export interface HubProgress {
  /** The file that is being fetched. */
  readonly file: string;
  /** Bytes of all needed files that are there, and how many there will be. */
  readonly done: number;
  readonly total: number;
}

export interface HubFilesOptions {
  /** Parts whose files are fetched; all that a model has when left out. */
  readonly parts?: readonly ModelFolderPart[];
  /** Parts whose files are read where they are, by ranges, unless the cache has them; none when left out. */
  readonly remoteParts?: readonly ModelFolderPart[];
  /** Make no request: the cache, or an error. */
  readonly offline?: boolean;
  /** Ask the hub for the newest commit of the revision, and pin that. */
  readonly refresh?: boolean;
  readonly onProgress?: (progress: HubProgress) => void;
  readonly retry?: RetryPolicy;
}

const INDEX = 'model.safetensors.index.json';
const SINGLE = 'model.safetensors';

/**
 * Opens a model of a hub.
 * @throws ModelFolderError naming the model, the file and what to do; the reason of the abort signal when it is aborted
 */
export async function hubFiles(
  repository: HubRepository,
  cache: HubCache,
  access: HubAccess,
  options: HubFilesOptions = {},
): Promise<ModelFiles> {
  const { parts = MODEL_PARTS, remoteParts = [], offline = false, refresh = false } = options;
  const label = repositoryLabel(repository);
  const isExact = isCommit(repository.revision);
  const pinned = isExact ? repository.revision : await cache.readRef(repository.revision);
  const cached = (pinned === undefined ? undefined : await cache.snapshot(pinned, label)) ?? nothingAt(label);
  const named = (files: ModelFiles, commit: string): ModelFiles => ({
    ...files,
    repository: { ...repository, commit },
  });
  if (offline) {
    const missing = await findMissing(cached, parts);
    if (pinned === undefined || missing.length > 0) throw offlineError(label, cache, missing);
    return named(cached, pinned);
  }
  const isFresh = pinned !== undefined && (isExact || !refresh);
  if (isFresh && (await findMissing(cached, [...parts, ...remoteParts])).length === 0) return named(cached, pinned);

  const commit = isFresh ? pinned : await fetchCommit(repository, access);
  if (!isExact) await cache.writeRef(repository.revision, commit);
  const listed = await fetchFileList(repository, commit, access);
  const fetcher = { repository, commit, cache, access, options, label };
  await fetchParts(fetcher, parts, listed);
  const snapshot = (await cache.snapshot(commit, label)) ?? nothingAt(label);
  return named(remoteParts.length === 0 ? snapshot : withRemote(fetcher, snapshot, remoteParts, listed), commit);
}

interface Fetcher {
  readonly repository: HubRepository;
  readonly commit: string;
  readonly cache: HubCache;
  readonly access: HubAccess;
  readonly options: HubFilesOptions;
  readonly label: string;
}

const nothingAt = (location: string): ModelFiles => ({
  location,
  names: new Set(),
  open: (name) => Promise.reject(new ModelFolderError(`${location}: missing ${name}`)),
});

function offlineError(label: string, cache: HubCache, missing: readonly MissingFile[]): ModelFolderError {
  const names = missing.map(({ name }) => name).join(', ');
  return new ModelFolderError(
    `${label}: offline, and the cache ${cache.location} lacks ${names}; fetch it with: mindseye inspect ${label} --download`,
  );
}

/** Known files of some parts that a list has, in the order to fetch them; of one file and an index, the file. */
function knownFiles(listed: readonly HubFile[], parts: readonly ModelFolderPart[]): HubFile[] {
  const byName = new Map(listed.map((file) => [file.name, file]));
  return KNOWN_FILE_NAMES.filter(
    (name) => parts.includes(KNOWN_FILES[name].part) && !(name === INDEX && byName.has(SINGLE)),
  ).flatMap((name) => byName.get(name) ?? []);
}

async function fetchParts(
  fetcher: Fetcher,
  parts: readonly ModelFolderPart[],
  listed: readonly HubFile[],
): Promise<void> {
  const names = new Set(listed.map(({ name }) => name));
  /** Nothing large is fetched for a model that will not be whole. */
  const refuse = (missing: readonly MissingFile[]): void => {
    const { label: location, repository, commit } = fetcher;
    const there = { ...nothingAt(location), names, repository: { ...repository, commit } };
    if (missing.length > 0 && parts.includes('weights')) throw missingFilesError(there, missing);
  };
  refuse(missingNames(names, parts));
  const known = knownFiles(listed, parts);
  // The index first: only it says which shards there are, and so how much there is to fetch.
  const index = known.find(({ name }) => name === INDEX);
  if (index) await fetchFiles(fetcher, [index], () => undefined);
  const snapshot = index && (await fetcher.cache.snapshot(fetcher.commit, fetcher.label));
  const shards = new Set(snapshot ? await shardNames(snapshot) : []);
  refuse([...shards].filter((name) => !names.has(name)).map((name) => ({ name })));
  const files = [...known.filter((file) => file !== index), ...listed.filter(({ name }) => shards.has(name))];
  await fetchFiles(fetcher, files, fetcher.options.onProgress);
}

/** Fetches files one after another; those that the cache has cost nothing. */
async function fetchFiles(
  { repository, commit, cache, access, options, label }: Fetcher,
  files: readonly HubFile[],
  onProgress: HubFilesOptions['onProgress'],
): Promise<void> {
  const there = (await cache.snapshot(commit, label))?.names ?? new Set();
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const { retry } = options;
  let before = 0;
  for (const file of files) {
    access.signal?.throwIfAborted();
    const { hex } = file.digest;
    const tell = (bytes: number): void => onProgress?.({ file: file.name, done: before + bytes, total });
    if (!there.has(file.name) && !(await cache.hasBlob(hex))) {
      const partial = await cache.partialBlob(hex);
      try {
        tell(partial.size);
        await download(partial, { repository, commit, file, access, onBytes: tell, ...(retry && { retry }) });
      } finally {
        await partial.close();
      }
    }
    if (!there.has(file.name)) await cache.link(commit, file.name, hex);
    before += file.size;
    tell(0);
  }
}

/** A snapshot together with files that are read on the hub. */
function withRemote(
  { repository, commit, access }: Fetcher,
  snapshot: ModelFiles,
  remoteParts: readonly ModelFolderPart[],
  listed: readonly HubFile[],
): ModelFiles {
  const known = knownFiles(listed, remoteParts);
  const isSharded = known.some(({ name }) => name === INDEX);
  const shards = isSharded ? listed.filter(({ name }) => name.endsWith('.safetensors') && !(name in KNOWN_FILES)) : [];
  const remote = new Map([...known, ...shards].map((file) => [file.name, file]));
  const open = (name: string, { size }: HubFile): ByteSource =>
    httpByteSource(fileAddress(access, repository.name, commit, name), size, (address, init) =>
      access.fetch(address, {
        ...init,
        headers: { ...hubHeaders(access), ...(init.headers as Record<string, string>) },
        signal: access.signal ?? null,
      }),
    );
  return {
    location: snapshot.location,
    names: new Set([...snapshot.names, ...remote.keys()]),
    async open(name) {
      const file = remote.get(name);
      return file && !snapshot.names.has(name) ? open(name, file) : snapshot.open(name);
    },
    ...(snapshot.folder && { folder: (name: string) => snapshot.folder!(name) }),
  };
}
