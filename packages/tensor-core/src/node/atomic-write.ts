/**
 * Files that are there whole or not at all.
 *
 *   write to a new name in the same folder -> fsync -> close -> rename over the target -> fsync the folder
 *
 * At any moment, also after a crash, the target is the old file or the new one. On any error the temporary file is removed and
 * the target is as it was. A symbolic link at the target is replaced, not followed.
 * Memory contract: chunks pass through one at a time.
 */
import { randomUUID } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { explain, FileError, systemCode } from './file-error.js';
import { type AtomicFileSystem, nodeFileSystem, type WritableFile } from './file-system.js';

export interface AtomicWriteOptions {
  /** Bytes of the whole file, for the error message of a stream that does not fit; known for strings and arrays. */
  readonly byteLength?: number;
  /** The machine's file system when omitted. */
  readonly fileSystem?: AtomicFileSystem;
}

/** The system writes at most 2^31 - 1 bytes per call; parts of this size keep well below. */
const WRITE_BYTES = 64 * 2 ** 20;
const SPACE_CODES: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/**
 * Writes a file in one step, replacing an older one of that name.
 * @param data text (as UTF-8), bytes, or chunks of bytes in order.
 * @throws FileError when the system refuses, naming the path, the needed bytes and the cure; whatever `data` itself throws.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array | AsyncIterable<Uint8Array>,
  options: AtomicWriteOptions = {},
): Promise<void> {
  const { fileSystem = nodeFileSystem } = options;
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  const byteLength = bytes instanceof Uint8Array ? bytes.length : options.byteLength;
  const folder = dirname(path);
  // Part of the name only, so that a name of the longest length still works; unique, so that two writers never meet.
  const temporary = join(folder, `.${basename(path).slice(0, 40)}.${randomUUID().slice(0, 8)}.tmp`);
  let written = 0;

  /** Runs one file operation; its failure is told in terms of the target. */
  const attempt = async <T>(operation: Promise<T>): Promise<T> =>
    operation.catch((error: unknown) => Promise.reject(writeError(path, error, byteLength, written)));

  const file = await attempt(fileSystem.create(temporary));
  let closed = false;
  try {
    for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
      for (let done = 0; done < chunk.length;) {
        const count = await attempt(writePart(file, chunk.subarray(done, done + WRITE_BYTES)));
        done += count;
        written += count;
      }
    }
    await attempt(file.sync());
    closed = true;
    await attempt(file.close());
    await attempt(fileSystem.rename(temporary, path));
  } catch (error) {
    // The first error is the one to report; these two can only fail because of it.
    if (!closed) await file.close().catch(() => undefined);
    await fileSystem.remove(temporary).catch(() => undefined);
    throw error;
  }
  // Some systems cannot sync a folder. The file is complete either way; only its name might be lost in a power cut.
  await fileSystem.syncFolder(folder).catch(() => undefined);
}

/**
 * Writes a value as JSON, two spaces, newline at the end, in one step.
 * @throws FileError as `writeFileAtomic`; TypeError for a value JSON cannot hold (undefined, NaN, infinity, a cycle).
 */
export async function writeJsonAtomic(path: string, value: unknown, options: AtomicWriteOptions = {}): Promise<void> {
  const text: string | undefined = JSON.stringify(
    value,
    (key, entry: unknown) => {
      if (typeof entry !== 'number' || Number.isFinite(entry)) return entry;
      throw new TypeError(
        `cannot write ${path}: JSON has no ${entry} (field ${JSON.stringify(key)}); write null or leave the field out`,
      );
    },
    2,
  );
  if (text === undefined)
    throw new TypeError(`cannot write ${path}: JSON has no ${typeof value}; pass an object, array or plain value`);
  await writeFileAtomic(path, `${text}\n`, options);
}

/** One write, which a broken file system must not turn into an endless loop. */
async function writePart(file: WritableFile, bytes: Uint8Array): Promise<number> {
  const count = await file.write(bytes);
  if (count <= 0) throw new Error('the system took no bytes');
  return count;
}

function writeError(path: string, error: unknown, byteLength: number | undefined, written: number): FileError {
  const { problem, cure } = explain(error);
  const needed =
    byteLength === undefined
      ? `${written} bytes were written so far`
      : `the file needs ${byteLength} bytes, ${written} were written`;
  const detail = SPACE_CODES.has(systemCode(error)) ? `${problem}, ${needed}` : problem;
  return new FileError('write', path, detail, `${cure}; nothing was changed`, error);
}
