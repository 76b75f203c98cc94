/**
 * The few file operations that an atomic write is made of, as an interface, so that full disks and other failures can be
 * produced at will. Methods reject with the operating system's errors (`code` is "ENOSPC" and so on).
 */
import { open, rename, rm } from 'node:fs/promises';

export interface WritableFile {
  /** Writes some of `bytes` at the end of the file and gives how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Resolves when the content is on the disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface AtomicFileSystem {
  /** Creates a file that must not exist yet. */
  create(path: string): Promise<WritableFile>;
  /** Puts the file at `from` in the place of `to`, in one step. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Resolves when the folder's entries are on the disk. */
  syncFolder(path: string): Promise<void>;
}

/** The file system of the machine. */
export const nodeFileSystem: AtomicFileSystem = {
  async create(path) {
    const handle = await open(path, 'wx');
    return {
      write: async (bytes) => (await handle.write(bytes, 0, bytes.length)).bytesWritten,
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncFolder(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
