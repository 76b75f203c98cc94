/**
 * The hub cache on disk, shared with the Python library: same place, same layout (`files/hub/hub-cache.ts`), so that what one has
 * fetched the other finds.
 *
 * Links are relative symbolic links; where the system gives none, as Windows often does, the content moves into the snapshot.
 * Two processes that fetch one content would mix their bytes: the first leaves a file with its number beside it.
 * Source: huggingface_hub `file_download.py` and `constants.py`.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileError, writeFileAtomic } from '@mindseye/tensor-core/node';
import { ModelFolderError } from '../errors.js';
import { type HubCache, type PartialBlob, repositoryFolder } from '../files/hub/hub-cache.js';
import { isCommit } from '../files/hub/repository.js';
import { folderFiles, isFolder } from './folder-files.js';

/** Bytes read at a time for a digest. */
const READ_BYTES = 4 * 2 ** 20;

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Runs an operation on a file; its failure names the path and the cure. */
const writing = <T>(path: string, operation: Promise<T>): Promise<T> =>
  operation.catch((error: unknown) => {
    const isFull = codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT';
    const cure = isFull
      ? 'free space, or set HF_HUB_CACHE to a folder on another disk; what has come so far is kept'
      : 'change the permissions, or set HF_HUB_CACHE to another folder';
    throw new FileError('write', path, error instanceof Error ? error.message : String(error), cure, error);
  });

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** @param folder the cache of all repositories, such as `~/.cache/huggingface/hub` */
export function diskCache(folder: string, repository: string): HubCache {
  const root = join(folder, repositoryFolder(repository));
  const blob = (digest: string): string => join(root, 'blobs', digest);
  const ref = (revision: string): string => join(root, 'refs', ...revision.split('/'));
  return {
    location: root,
    async readRef(revision) {
      const commit = await readFile(ref(revision), 'utf8').then(
        (text) => text.trim(),
        () => '',
      );
      return isCommit(commit) ? commit : undefined;
    },
    async writeRef(revision, commit) {
      const path = ref(revision);
      await writing(path, mkdir(dirname(path), { recursive: true }));
      await writeFileAtomic(path, commit);
    },
    async snapshot(commit, location) {
      const path = join(root, 'snapshots', commit);
      return (await isFolder(path)) ? folderFiles(path, location) : undefined;
    },
    hasBlob: (digest) => exists(blob(digest)),
    partialBlob: (digest) => partialBlob(blob(digest)),
    async link(commit, name, digest) {
      const path = join(root, 'snapshots', commit, name);
      if (await exists(path)) return;
      await writing(path, mkdir(dirname(path), { recursive: true }));
      await rm(path, { force: true }); // a link to a content that was removed
      await symlink(join('..', '..', 'blobs', digest), path).catch(async (error: unknown) => {
        if (codeOf(error) === 'EEXIST') return;
        await writing(path, rename(blob(digest), path));
      });
    },
  };
}

async function partialBlob(blob: string): Promise<PartialBlob> {
  const path = `${blob}.incomplete`;
  await writing(path, mkdir(dirname(path), { recursive: true }));
  const unlock = await lock(`${path}.lock`, path);
  let handle: FileHandle | undefined;
  try {
    handle = await writing(path, open(path, 'a+'));
    return openedBlob(handle, (await handle.stat()).size, blob, unlock);
  } catch (error) {
    await handle?.close();
    await unlock();
    throw error;
  }
}

function openedBlob(handle: FileHandle, there: number, blob: string, unlock: () => Promise<void>): PartialBlob {
  const path = `${blob}.incomplete`;
  let size = there;
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await handle.close();
  };
  return {
    get size() {
      return size;
    },
    async append(bytes) {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await writing(path, handle.write(bytes, done));
        done += bytesWritten;
        size += bytesWritten;
      }
    },
    async restart() {
      await writing(path, handle.truncate(0));
      size = 0;
    },
    async digest(algorithm) {
      const hash = createHash(algorithm === 'sha256' ? 'sha256' : 'sha1');
      if (algorithm === 'git-sha1') hash.update(`blob ${size}\0`);
      const buffer = new Uint8Array(Math.min(READ_BYTES, size));
      for (let position = 0; position < size;) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
        if (bytesRead === 0) break;
        hash.update(buffer.subarray(0, bytesRead));
        position += bytesRead;
      }
      return hash.digest('hex');
    },
    async complete() {
      await writing(path, handle.sync());
      await close();
      await writing(blob, rename(path, blob));
    },
    async close() {
      await close();
      await unlock();
    },
  };
}

/** Takes a lock; one that a dead process left is taken over. @returns gives it back */
async function lock(path: string, content: string): Promise<() => Promise<void>> {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') return await writing(path, Promise.reject(error as Error));
      const holder = Number(await readFile(path, 'utf8').catch(() => ''));
      if (isRunning(holder)) {
        throw new ModelFolderError(
          `${content}: process ${holder} is fetching this file; wait for it, or delete ${path} if there is no such download`,
          { cause: error },
        );
      }
      await rm(path, { force: true });
    }
  }
  throw new ModelFolderError(`${content}: another process is fetching this file; wait for it`);
}

function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0); // asks, and sends nothing
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
