/**
 * What a hub says about a model, through `@huggingface/hub`, which is loaded on first use: who never asks a hub never loads it.
 *
 * The library asks; the token, the abort signal and the bounds are ours, in the `fetch` it is given: its own parameter refuses
 * tokens of other hubs. The token goes to the hub's own origin only.
 */
import type { HubApiError, ListFileEntry } from '@huggingface/hub';
import { InvalidInputError, ModelFolderError, oneLine, quoteValue } from '../../errors.js';
import { type Fetch, networkReason } from '../http-byte-source.js';
import { type HubRepository, isCommit, repositoryLabel } from './repository.js';

export interface HubAccess {
  /** Address of the hub without a slash at its end. */
  readonly endpoint: string;
  readonly token?: string;
  readonly fetch: Fetch;
  readonly signal?: AbortSignal;
}

export interface HubDigest {
  /** Of the bytes, or of git's `blob <size>\0` and the bytes. */
  readonly algorithm: 'sha256' | 'git-sha1';
  readonly hex: string;
}

export interface HubFile {
  readonly name: string;
  readonly size: number;
  readonly digest: HubDigest;
}

/** Most files of a repository that are looked at. */
const MAX_FILES = 20_000;
/** Longest answer of the hub's own pages (lists, not files), in bytes. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20;

/** The headers of a request to the hub. */
export const hubHeaders = ({ token }: HubAccess): Record<string, string> =>
  token === undefined ? {} : { Authorization: `Bearer ${token}` };

/** `fetch` as the library gets it. */
function apiFetch(access: HubAccess): typeof globalThis.fetch {
  const { origin } = new URL(access.endpoint);
  return async (input, init = {}) => {
    const address = input instanceof Request ? input.url : String(input);
    const headers = new Headers(init.headers);
    if (new URL(address).origin === origin)
      for (const [name, value] of Object.entries(hubHeaders(access))) headers.set(name, value);
    const response = await access.fetch(address, { ...init, headers, signal: access.signal ?? null });
    return response.body ? new Response(response.body.pipeThrough(limit(MAX_ANSWER_BYTES)), response) : response;
  };
}

function limit(bytes: number): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let left = bytes;
  return new TransformStream({
    transform(chunk, controller) {
      left -= chunk.length;
      if (left < 0) throw new ModelFolderError(`the hub's answer is longer than ${bytes} bytes; check its address`);
      controller.enqueue(chunk);
    },
  });
}

/** A failure of asking a hub, in words. */
export function hubFailure(error: unknown, repository: HubRepository, access: HubAccess): unknown {
  if (error instanceof InvalidInputError || access.signal?.aborted) return error;
  const label = repositoryLabel(repository);
  const status = (error as Partial<HubApiError> | undefined)?.statusCode;
  if (typeof status === 'number')
    return new ModelFolderError(`${label}: ${statusText(status, repository, access)}`, { cause: error });
  if (error instanceof SyntaxError || (error instanceof Error && error.constructor.name.startsWith('InvalidApi')))
    return new ModelFolderError(
      `${label}: ${access.endpoint} does not answer as a hub does (${oneLine(error.message, 120)}); check HF_ENDPOINT`,
      { cause: error },
    );
  return new ModelFolderError(
    `${label}: the hub ${access.endpoint} cannot be reached (${networkReason(error)}); check the connection, or work offline with what is in the cache`,
    { cause: error },
  );
}

/** What a status of the hub means for a model and what to do. */
export function statusText(status: number, { name, revision }: HubRepository, { endpoint, token }: HubAccess): string {
  const owner = token === undefined ? 'no token was given' : 'the token given is not allowed to read it';
  const texts: Readonly<Record<number, string>> = {
    401: `the hub ${endpoint} asks for a token, which it also does for models that do not exist (${owner}); check the name, or set HF_TOKEN`,
    403: `the hub ${endpoint} refuses access (${owner}); accept the terms at ${endpoint}/${name}, then set HF_TOKEN`,
    404: `the hub ${endpoint} has no such model, or the model has no revision ${revision}; check both`,
    429: `the hub ${endpoint} takes no more requests for now; try again later`,
  };
  return texts[status] ?? `the hub ${endpoint} answers with status ${status}; try again later`;
}

/**
 * The commit of a revision.
 * @throws ModelFolderError naming the model: no such model or revision, no access, no connection
 */
export async function fetchCommit(repository: HubRepository, access: HubAccess): Promise<string> {
  const { name, revision } = repository;
  try {
    const { modelInfo } = await import('@huggingface/hub');
    const { sha } = await modelInfo({
      name,
      revision,
      hubUrl: access.endpoint,
      additionalFields: ['sha'],
      fetch: apiFetch(access),
    });
    if (typeof sha === 'string' && isCommit(sha)) return sha;
    throw new ModelFolderError(
      `${repositoryLabel(repository)}: the hub ${access.endpoint} gives ${quoteValue(sha)} for a commit; check HF_ENDPOINT`,
    );
  } catch (error) {
    throw hubFailure(error, repository, access);
  }
}

/**
 * The files of a commit that lie in its first folder.
 * @throws ModelFolderError as `fetchCommit`
 */
export async function fetchFileList(
  repository: HubRepository,
  commit: string,
  access: HubAccess,
): Promise<readonly HubFile[]> {
  try {
    const { listFiles } = await import('@huggingface/hub');
    const files: HubFile[] = [];
    const entries = listFiles({
      repo: { type: 'model', name: repository.name },
      revision: commit,
      hubUrl: access.endpoint,
      fetch: apiFetch(access),
    });
    let seen = 0;
    for await (const entry of entries) {
      if (++seen > MAX_FILES)
        throw new ModelFolderError(`${repository.name}: it has more than ${MAX_FILES} files; it is not one model`);
      const file = hubFile(entry);
      if (file) files.push(file);
    }
    return files;
  } catch (error) {
    throw hubFailure(error, repository, access);
  }
}

/** An entry of the list, if it is a file that can be fetched and checked. */
function hubFile({ type, path, size, oid, lfs }: ListFileEntry): HubFile | undefined {
  if (type !== 'file' || typeof path !== 'string' || !/^[^/\\:\p{Cc}]+$/u.test(path)) return undefined;
  const bytes = lfs?.size ?? size;
  const sha256 = lfs?.oid?.replace(/^sha256:/, '');
  const digest: HubDigest | undefined =
    sha256 !== undefined && /^[0-9a-f]{64}$/.test(sha256)
      ? { algorithm: 'sha256', hex: sha256 }
      : oid !== undefined && isCommit(oid)
        ? { algorithm: 'git-sha1', hex: oid }
        : undefined;
  if (!digest || !Number.isSafeInteger(bytes) || bytes < 0) return undefined;
  return { name: path, size: bytes, digest };
}

/** Where the bytes of a file are. */
export const fileAddress = ({ endpoint }: HubAccess, repository: string, commit: string, name: string): string =>
  `${endpoint}/${repository}/resolve/${commit}/${encodeURIComponent(name)}`;
