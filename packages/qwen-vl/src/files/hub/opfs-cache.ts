/**
 * The hub cache in a page's own file system (OPFS), in the layout of `hub-cache.ts`. There are no symbolic links here: a file of
 * a snapshot holds, as text, the path that a link would have. A partial content becomes whole by `move`; where a browser has
 * none, it stays under its name, and the link to it says that it is whole.
 */
import { blobSource } from '@mindseye/tensor-core';
import { ModelFolderError } from '../../errors.js';
import type { ModelFiles } from '../model-files.js';
import { type HubCache, type PartialBlob, repositoryFolder } from './hub-cache.js';
import { isCommit } from './repository.js';

/** The parts of the browser's handles that are used. */
export interface OpfsFile {
  readonly name: string;
  getFile(): Promise<File>;
  /** Renames within the folder. */
  move?(name: string): Promise<void>;
  createWritable(options: { readonly keepExistingData: boolean }): Promise<OpfsWritable>;
  /** In workers only. */
  createSyncAccessHandle?(): Promise<OpfsAccess>;
}

export interface OpfsWritable {
  write(request: {
    readonly type: 'write';
    readonly position: number;
    readonly data: Uint8Array<ArrayBuffer>;
  }): Promise<void>;
  truncate(size: number): Promise<void>;
  /** Only now is what was written in the file. */
  close(): Promise<void>;
}

export interface OpfsAccess {
  getSize(): number;
  write(bytes: Uint8Array<ArrayBuffer>, options: { readonly at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

export interface OpfsDirectory {
  readonly name: string;
  values(): AsyncIterable<{ readonly kind: 'file' | 'directory'; readonly name: string }>;
  getFileHandle(name: string, options?: { readonly create: boolean }): Promise<OpfsFile>;
  getDirectoryHandle(name: string, options?: { readonly create: boolean }): Promise<OpfsDirectory>;
}

const isAbsent = (error: unknown): boolean => error instanceof Error && error.name === 'NotFoundError';

/** Undefined in place of a rejection that says that there is none. */
const ifThere = <T>(asked: Promise<T>): Promise<T | undefined> =>
  asked.catch((error: unknown) => {
    if (isAbsent(error)) return undefined;
    throw error;
  });

/** Without in-place writing, bytes after which what has come is put into the file. */
const CHECKPOINT_BYTES = 64 * 2 ** 20;
/** Largest content whose git digest is computed in memory; git itself holds no larger ones on a hub. */
const MAX_GIT_BYTES = 256 * 2 ** 20;

/** A file that is appended to: in place where the browser can, else through a copy that is put in place now and then. */
interface Appending {
  append(bytes: Uint8Array<ArrayBuffer>, position: number): Promise<void>;
  truncate(): Promise<void>;
  close(): Promise<void>;
}

function inPlace(access: OpfsAccess): Appending {
  return {
    async append(bytes, position) {
      for (let done = 0; done < bytes.length;) {
        const count = access.write(bytes.subarray(done), { at: position + done });
        if (count <= 0) throw new DOMException('the page’s storage is full', 'QuotaExceededError');
        done += count;
      }
    },
    async truncate() {
      access.truncate(0);
    },
    async close() {
      access.flush();
      access.close();
    },
  };
}

function throughCopies(file: OpfsFile): Appending {
  let writable: OpfsWritable | undefined;
  let unsaved = 0;
  const save = async (): Promise<void> => {
    const open = writable;
    writable = undefined;
    unsaved = 0;
    await open?.close();
  };
  return {
    async append(bytes, position) {
      writable ??= await file.createWritable({ keepExistingData: true });
      await writable.write({ type: 'write', position, data: bytes });
      unsaved += bytes.length;
      if (unsaved >= CHECKPOINT_BYTES) await save();
    },
    async truncate() {
      await save();
      const empty = await file.createWritable({ keepExistingData: false });
      await empty.close();
    },
    close: save,
  };
}

const appendingTo = async (file: OpfsFile): Promise<Appending> =>
  file.createSyncAccessHandle ? inPlace(await file.createSyncAccessHandle()) : throughCopies(file);

/** A content as it is on its way: `<digest>.incomplete` in `blobs`. */
async function partialBlob(blobs: OpfsDirectory, digest: string): Promise<PartialBlob> {
  const file = await blobs.getFileHandle(`${digest}.incomplete`, { create: true });
  let { size } = await file.getFile();
  let appending: Appending | undefined = await appendingTo(file).catch((error: unknown) => {
    throw new ModelFolderError(
      `${digest}: this content is being fetched in another tab; wait for it, or close the tab`,
      { cause: error },
    );
  });
  const close = async (): Promise<void> => {
    const open = appending;
    appending = undefined;
    await open?.close();
  };
  const content = async (): Promise<File> => {
    // A file that is open for writing in place cannot be read by others.
    await close();
    return file.getFile();
  };
  return {
    get size() {
      return size;
    },
    async append(bytes) {
      appending ??= await appendingTo(file);
      await appending.append(bytes as Uint8Array<ArrayBuffer>, size);
      size += bytes.length;
    },
    async restart() {
      appending ??= await appendingTo(file);
      await appending.truncate();
      size = 0;
    },
    async digest(algorithm) {
      return digests[algorithm](await content());
    },
    async complete() {
      await close();
      await file.move?.(digest);
    },
    close,
  };
}

const digests: Readonly<Record<'sha256' | 'git-sha1', (content: Blob) => Promise<string>>> = {
  async sha256(content) {
    const { __internal_sha256: sha256 } = await import('@huggingface/hub');
    const steps = sha256(content);
    for (;;) {
      const { done, value } = await steps.next();
      if (done) return value;
    }
  },
  async 'git-sha1'(content) {
    if (content.size > MAX_GIT_BYTES)
      throw new ModelFolderError(
        `a content of ${content.size} bytes is too large for a file that the hub keeps in git; choose another revision`,
      );
    const bytes = await new Blob([`blob ${content.size}\0`, content]).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-1', bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  },
};

/** The cache of one repository in a folder of the page's file system. */
export async function opfsCache(folder: OpfsDirectory, repository: string): Promise<HubCache> {
  const create = { create: true };
  const root = await folder.getDirectoryHandle(repositoryFolder(repository), create);
  const [blobs, refs, snapshots] = await Promise.all(
    ['blobs', 'refs', 'snapshots'].map((name) => root.getDirectoryHandle(name, create)),
  );
  const location = `the page’s storage, ${folder.name}/${root.name}`;
  // A name of a branch may have slashes, a file's may not.
  const refName = (revision: string): string => encodeURIComponent(revision);
  const blobFile = async (digest: string): Promise<OpfsFile | undefined> =>
    (await ifThere(blobs!.getFileHandle(digest))) ?? (await ifThere(blobs!.getFileHandle(`${digest}.incomplete`)));
  const write = async (file: OpfsFile, text: string): Promise<void> => {
    const bytes = new TextEncoder().encode(text);
    const writable = await file.createWritable({ keepExistingData: false });
    await writable.write({ type: 'write', position: 0, data: bytes });
    await writable.close();
  };
  return {
    location,
    async readRef(revision) {
      const file = await ifThere(refs!.getFileHandle(refName(revision)));
      const commit = (await (await file?.getFile())?.text())?.trim() ?? '';
      return isCommit(commit) ? commit : undefined;
    },
    async writeRef(revision, commit) {
      await write(await refs!.getFileHandle(refName(revision), create), commit);
    },
    async snapshot(commit, label) {
      const links = await ifThere(snapshots!.getDirectoryHandle(commit));
      return links && snapshotFiles(links, label, blobFile);
    },
    async hasBlob(digest) {
      return (await ifThere(blobs!.getFileHandle(digest))) !== undefined;
    },
    partialBlob: (digest) => partialBlob(blobs!, digest),
    async link(commit, name, digest) {
      const links = await snapshots!.getDirectoryHandle(commit, create);
      await write(await links.getFileHandle(name, create), `../../blobs/${digest}`);
    },
  };
}

async function snapshotFiles(
  links: OpfsDirectory,
  location: string,
  blobFile: (digest: string) => Promise<OpfsFile | undefined>,
): Promise<ModelFiles> {
  const contents = new Map<string, OpfsFile>();
  for await (const { kind, name } of links.values()) {
    if (kind !== 'file') continue;
    const text = await (await (await links.getFileHandle(name)).getFile()).text();
    const digest = /^\.\.\/\.\.\/blobs\/([0-9a-f]{40,64})$/.exec(text)?.[1];
    // A link that was being written when the tab was closed, or whose content was removed, is none.
    const file = digest === undefined ? undefined : await blobFile(digest);
    if (file) contents.set(name, file);
  }
  return {
    location,
    names: new Set(contents.keys()),
    async open(name) {
      const file = contents.get(name);
      if (!file) throw new ModelFolderError(`${location}: missing ${name}; open the model again to fetch it`);
      return blobSource(await file.getFile());
    },
  };
}
