/**
 * Where files of a hub are kept: one interface for a folder on disk (`node/hub-cache.ts`) and a page's own file system
 * (`opfs-cache.ts`). Both have the layout of the Python library:
 *
 *   models--<organisation>--<name>/refs/<revision>              the commit that a branch or tag is pinned to
 *                                 /blobs/<digest>               contents, each once
 *                                 /blobs/<digest>.incomplete    as much as has come so far
 *                                 /snapshots/<commit>/<name>    the files of a commit: links to contents
 *
 * A name appears in a snapshot only when its content is whole and has been checked.
 */
import type { HubDigest } from './hub-api.js';
import type { ModelFiles } from '../model-files.js';

/** A content that is on its way. What has been appended stays for the next time, whatever happens. */
export interface PartialBlob {
  /** Bytes that are there. */
  readonly size: number;
  append(bytes: Uint8Array): Promise<void>;
  /** Drops all bytes. */
  restart(): Promise<void>;
  /** Digest of all bytes that are there, in hexadecimal digits. */
  digest(algorithm: HubDigest['algorithm']): Promise<string>;
  /** Makes the content whole: from now on it is a blob. */
  complete(): Promise<void>;
  /** Gives back what is held open. */
  close(): Promise<void>;
}

/** The part of a cache that holds one repository. */
export interface HubCache {
  /** What messages call it: a path. */
  readonly location: string;
  /** The commit that a revision is pinned to, if it is. */
  readRef(revision: string): Promise<string | undefined>;
  writeRef(revision: string, commit: string): Promise<void>;
  /** The files of a commit that are there; none when there is no such snapshot. */
  snapshot(commit: string, location: string): Promise<ModelFiles | undefined>;
  hasBlob(digest: string): Promise<boolean>;
  /** @throws ModelFolderError when another process is at it */
  partialBlob(digest: string): Promise<PartialBlob>;
  /** Puts a whole blob under its name into a snapshot. */
  link(commit: string, name: string, digest: string): Promise<void>;
}

/** The folder of a repository within a cache. */
export const repositoryFolder = (name: string): string => `models--${name.replaceAll('/', '--')}`;
