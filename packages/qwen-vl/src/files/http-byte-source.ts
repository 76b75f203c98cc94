/**
 * A file behind an address, read by range requests (RFC 9110, section 14).
 *
 * Memory contract: a read allocates what is asked for; one block of at most `BLOCK_BYTES` is kept, because headers are read in
 * small steps from the front.
 */
import type { ByteSource } from '@mindseye/tensor-core';
import { ModelFolderError, oneLine } from '../errors.js';

/** As the global `fetch`; a page or a test gives its own. */
export type Fetch = (address: string, options: RequestInit) => Promise<Response>;

const BLOCK_BYTES = 2 ** 16;
/** Bytes after which a server that sends a whole file in place of a range is stopped. */
const WHOLE_FILE_BYTES = 2 ** 31;

/** One request, with its failures in words. */
export async function request(fetch: Fetch, address: string, options: RequestInit = {}): Promise<Response> {
  const response = await fetch(address, options).catch((error: unknown) => {
    if (options.signal?.aborted) throw error;
    throw new ModelFolderError(`${address} cannot be reached (${networkReason(error)}); check the connection`, {
      cause: error,
    });
  });
  if (response.ok) return response;
  await response.body?.cancel();
  throw new ModelFolderError(
    `${address} answers with status ${response.status}; check the address, or copy the whole model folder there`,
  );
}

/** What went wrong on the way, as the system says it: `fetch` hides it behind "fetch failed". */
export function networkReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  return oneLine(code ?? (cause instanceof Error ? cause.message : String(cause)), 120);
}

/** Whole size of the file that a `Content-Range` of `bytes 0-9/1234` is about; undefined for any other text. */
export function contentRange(
  text: string | null,
): { readonly start: number; readonly end: number; readonly size: number } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(text ?? '');
  return match ? { start: Number(match[1]), end: Number(match[2]), size: Number(match[3]) } : undefined;
}

/** Reads `length` bytes of a body and stops; fails on a body that has fewer or more. */
async function readBody(response: Response, length: number, address: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read().catch((error: unknown) => {
      throw new ModelFolderError(
        `${address}: the connection ended at byte ${done} of ${length} (${networkReason(error)}); try again`,
        { cause: error },
      );
    });
    if (!part || part.done) break;
    if (done + part.value.length > length) {
      await reader?.cancel();
      done = Infinity;
      break;
    }
    bytes.set(part.value, done);
    done += part.value.length;
  }
  if (done === length) return bytes;
  throw new ModelFolderError(
    `${address}: the server sent ${done > length ? 'more' : done} than ${length} bytes; try again`,
  );
}

/** A source over an address whose server takes ranges and whose size is known. */
export function httpByteSource(
  address: string,
  size: number,
  fetch: Fetch,
  first: Uint8Array = new Uint8Array(0),
): ByteSource {
  let block = { start: 0, bytes: first };
  const load = async (start: number, length: number): Promise<Uint8Array> => {
    const response = await request(fetch, address, { headers: { Range: `bytes=${start}-${start + length - 1}` } });
    const range = contentRange(response.headers.get('Content-Range'));
    if (response.status !== 206 || range?.start !== start || range.size !== size) {
      await response.body?.cancel();
      throw new ModelFolderError(
        `${address}: the server answers bytes ${start} to ${start + length - 1} of ${size} with something else (status ${response.status}); the file changed, open it again`,
      );
    }
    return readBody(response, length, address);
  };
  return {
    size,
    async read(offset, length) {
      const inFile = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
      if (!inFile || offset > size - length)
        throw new RangeError(`byte range ${offset} + ${length} is outside the ${size} bytes of ${address}`);
      if (length === 0) return new Uint8Array(0);
      if (length >= BLOCK_BYTES) return load(offset, length);
      if (offset < block.start || offset + length > block.start + block.bytes.length)
        block = { start: offset, bytes: await load(offset, Math.min(BLOCK_BYTES, size - offset)) };
      return block.bytes.slice(offset - block.start, offset - block.start + length);
    },
  };
}

/**
 * Opens a file behind an address: by ranges where the server gives them, else as a whole.
 * @throws ModelFolderError naming the address
 */
export async function openAddress(address: string, fetch: Fetch): Promise<ByteSource> {
  const response = await fetchFirstBlock(address, fetch);
  const range = contentRange(response.headers.get('Content-Range'));
  if (response.status === 206 && range?.start === 0 && range.end < BLOCK_BYTES) {
    const first = await readBody(response, range.end + 1, address);
    return httpByteSource(address, range.size, fetch, first);
  }
  return wholeFile(response, address);
}

async function fetchFirstBlock(address: string, fetch: Fetch): Promise<Response> {
  const headers = { Range: `bytes=0-${BLOCK_BYTES - 1}` };
  // An empty file has no first byte: its range cannot be satisfied.
  return request(
    async (url, options) => {
      const response = await fetch(url, options);
      return response.status === 416 ? fetch(url, {}) : response;
    },
    address,
    { headers },
  );
}

async function wholeFile(response: Response, address: string): Promise<ByteSource> {
  if (Number(response.headers.get('Content-Length') ?? 0) > WHOLE_FILE_BYTES) {
    await response.body?.cancel();
    throw new ModelFolderError(
      `${address}: the server gives no ranges and the file is above ${WHOLE_FILE_BYTES} bytes; serve it with range requests`,
    );
  }
  const blob = await response.blob().catch((error: unknown) => {
    throw new ModelFolderError(`${address}: the connection ended early (${networkReason(error)}); try again`, {
      cause: error,
    });
  });
  return {
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  };
}
