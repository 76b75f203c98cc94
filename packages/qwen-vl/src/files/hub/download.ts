/**
 * One content from a hub into a cache, going on where an earlier attempt stopped.
 *
 *   bytes there = n:  GET with Range: bytes=n-   ->  206, append    200, skip n bytes    416, start again
 *
 * A connection that ends early or stalls is taken up again at the byte it reached, a busy hub after a pause; both as long as each
 * few attempts bring something. When all bytes are there, their digest is compared with the hub's, and only then is the content
 * whole. Memory contract: a chunk of the network at a time.
 */
import { InvalidInputError, ModelFolderError } from '../../errors.js';
import { byteCount } from '../byte-count.js';
import { contentRange, networkReason } from '../http-byte-source.js';
import type { PartialBlob } from './hub-cache.js';
import { fileAddress, type HubAccess, type HubFile, hubHeaders, statusText } from './hub-api.js';
import { type HubRepository, repositoryLabel } from './repository.js';

export interface RetryPolicy {
  /** Attempts in a row that bring nothing before giving up. */
  readonly attempts: number;
  /** Pause after the first of them, in milliseconds; doubled after each. */
  readonly pause: number;
  /** Milliseconds without a byte after which a connection counts as dead. */
  readonly stall: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 5, pause: 500, stall: 60_000 };

export interface DownloadRequest {
  readonly repository: HubRepository;
  readonly commit: string;
  readonly file: HubFile;
  readonly access: HubAccess;
  readonly retry?: RetryPolicy;
  /** Told how many bytes are there, after each chunk. */
  readonly onBytes?: (there: number) => void;
}

/** Worth another attempt. */
class InterruptedTransfer extends Error {
  /** Milliseconds that the hub asks to wait. */
  readonly pause: number;

  constructor(message: string, pause = 0, options?: ErrorOptions) {
    super(message, options);
    this.pause = pause;
  }
}

const BUSY: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
/** Longest pause that a hub can ask for, in milliseconds. */
const MAX_PAUSE = 60_000;

/**
 * Fetches what a partial content lacks, checks it and makes it whole. Whatever fails, the bytes that came stay in `partial`.
 * @throws ModelFolderError naming the file; the reason of the abort signal when it is aborted
 */
export async function download(partial: PartialBlob, asked: DownloadRequest): Promise<void> {
  const { file, repository } = asked;
  // A digest that does not fit can be the fault of bytes from an earlier run: once, all are fetched again.
  for (const isLast of [partial.size === 0, true]) {
    if (partial.size > file.size) await partial.restart();
    await fetchAll(partial, asked);
    if ((await partial.digest(file.digest.algorithm)) === file.digest.hex) return partial.complete();
    await partial.restart();
    if (isLast) break;
  }
  throw new ModelFolderError(
    `${repositoryLabel(repository)}: ${file.name} does not have the digest that the hub gives for it; it was damaged on its way, fetch it again`,
  );
}

async function fetchAll(partial: PartialBlob, asked: DownloadRequest): Promise<void> {
  const { file, repository, access, retry = DEFAULT_RETRY } = asked;
  for (let failures = 0; partial.size < file.size;) {
    access.signal?.throwIfAborted();
    const before = partial.size;
    try {
      await fetchRest(partial, asked, retry);
    } catch (error) {
      access.signal?.throwIfAborted();
      if (!(error instanceof InterruptedTransfer)) throw error;
      failures = partial.size > before ? 0 : failures + 1;
      if (failures >= retry.attempts) {
        throw new ModelFolderError(
          `${repositoryLabel(repository)}: ${file.name}: ${error.message}, ${byteCount(partial.size)} of ${byteCount(file.size)} are in the cache; run the command again to go on from there`,
          { cause: error },
        );
      }
      await pause(Math.max(error.pause, retry.pause * 2 ** Math.max(0, failures - 1)), access.signal);
    }
  }
}

/** One request, from the byte that is missing to the end. */
async function fetchRest(partial: PartialBlob, asked: DownloadRequest, retry: RetryPolicy): Promise<void> {
  const { file, repository, commit, access } = asked;
  const stalled = new AbortController();
  const setAlarm = (): ReturnType<typeof setTimeout> => setTimeout(() => stalled.abort(), retry.stall);
  let alarm = setAlarm();
  const isAlive = (): void => {
    clearTimeout(alarm);
    alarm = setAlarm();
  };
  try {
    const signals = [stalled.signal, ...(access.signal ? [access.signal] : [])];
    const start = partial.size;
    const response = await access.fetch(fileAddress(access, repository.name, commit, file.name), {
      headers: {
        ...hubHeaders(access),
        'Accept-Encoding': 'identity',
        ...(start > 0 && { Range: `bytes=${start}-` }),
      },
      signal: AbortSignal.any(signals),
    });
    const skip = await checkAnswer(response, partial, asked);
    if (response.body) await appendBody(response.body, skip, partial, asked, isAlive);
    if (partial.size < file.size) throw new InterruptedTransfer('the hub ended the file early');
  } catch (error) {
    if (error instanceof InvalidInputError || error instanceof InterruptedTransfer || isStorageError(error))
      throw error;
    const reason = stalled.signal.aborted ? `nothing came for ${retry.stall} ms` : networkReason(error);
    throw new InterruptedTransfer(`the connection to the hub broke (${reason})`, 0, { cause: error });
  } finally {
    clearTimeout(alarm);
  }
}

/** Failures of the cache's own files carry the system's code and are no fault of the connection. */
const isStorageError = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'FileError' || error.name === 'QuotaExceededError');

/** @returns bytes to skip at the front of the body */
async function checkAnswer(response: Response, partial: PartialBlob, asked: DownloadRequest): Promise<number> {
  const { file, repository, access } = asked;
  const { status } = response;
  if (status === 206) {
    const header = response.headers.get('Content-Range');
    const range = contentRange(header);
    // A page may not be shown this header across origins: length and digest tell in the end.
    if (header === null || (range?.start === partial.size && range.size === file.size)) return 0;
    await response.body?.cancel();
    throw sizeError(asked, range?.size);
  }
  if (status === 200) return partial.size;
  await response.body?.cancel();
  if (status === 416) {
    await partial.restart();
    throw new InterruptedTransfer('the hub has no such part of the file');
  }
  if (BUSY.has(status)) throw new InterruptedTransfer(`the hub answers with status ${status}`, askedPause(response));
  const problem =
    status === 404 ? `the hub ${access.endpoint} has no such file` : statusText(status, repository, access);
  throw new ModelFolderError(`${repositoryLabel(repository)}: ${file.name}: ${problem}`);
}

const sizeError = ({ file, repository }: DownloadRequest, size?: number): ModelFolderError =>
  new ModelFolderError(
    `${repositoryLabel(repository)}: ${file.name} has ${size ?? 'more'} bytes on the hub, its list says ${file.size}; try again`,
  );

function askedPause(response: Response): number {
  const seconds = Number(response.headers.get('Retry-After') ?? 0);
  return Number.isFinite(seconds) ? Math.min(MAX_PAUSE, Math.max(0, 1000 * seconds)) : 0;
}

async function appendBody(
  body: ReadableStream<Uint8Array>,
  skip: number,
  partial: PartialBlob,
  asked: DownloadRequest,
  isAlive: () => void,
): Promise<void> {
  const reader = body.getReader();
  let left = skip;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      isAlive();
      const bytes = value.subarray(Math.min(left, value.length));
      left -= value.length - bytes.length;
      if (partial.size + bytes.length > asked.file.size) throw sizeError(asked);
      if (bytes.length > 0) await partial.append(bytes);
      asked.onBytes?.(partial.size);
    }
  } finally {
    // Frees the connection when the loop ended early; after the end it does nothing.
    await reader.cancel().catch(() => undefined);
  }
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal!.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
