/**
 * A file on disk as a `ByteSource`: every read is a range read at an absolute position; the file is never loaded whole.
 * Keeps one file descriptor open until `close()`.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { ByteSource } from '../safetensors/byte-source.js';
import { explain, FileError } from './file-error.js';

/** The system reads at most 2^31 - 1 bytes per call; parts of this size keep well below. */
const READ_BYTES = 64 * 2 ** 20;

export class FileByteSource implements ByteSource {
  readonly path: string;
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** @throws FileError when `path` does not exist, is not a regular file, or may not be read. */
  static async open(path: string): Promise<FileByteSource> {
    try {
      // Asked before opening: opening a pipe would wait for its other end.
      if (!(await stat(path)).isFile()) throw new FileError('read', path, 'it is not a regular file', 'name a file');
      const handle = await open(path, 'r');
      return new FileByteSource(path, (await handle.stat()).size, handle);
    } catch (error) {
      throw readError(path, error);
    }
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#requireRange(offset, length);
    const bytes = new Uint8Array(length);
    await this.readInto(offset, bytes);
    return bytes;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    this.#requireRange(offset, target.length);
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await this.#handle
        .read(target, done, Math.min(READ_BYTES, target.length - done), offset + done)
        .catch((error: unknown) => Promise.reject(readError(this.path, error)));
      if (bytesRead === 0) {
        throw new FileError(
          'read',
          this.path,
          `it ended at byte ${offset + done} of ${this.size}`,
          'open it again when it is complete',
        );
      }
      done += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #requireRange(offset: number, length: number): void {
    if (
      !Number.isSafeInteger(offset) ||
      !Number.isSafeInteger(length) ||
      offset < 0 ||
      length < 0 ||
      offset > this.size - length
    ) {
      throw new FileError(
        'read',
        this.path,
        `bytes ${offset} + ${length} are outside its ${this.size} bytes`,
        'ask for a range inside the file',
      );
    }
  }
}

function readError(path: string, error: unknown): FileError {
  if (error instanceof FileError) return error;
  const { problem, cure } = explain(error);
  return new FileError('read', path, problem, cure, error);
}
