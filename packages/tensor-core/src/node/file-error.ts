import { oneLine } from '../safetensors/errors.js';

/** A file that cannot be read or written. The message is one line: what failed, on which path, why, and what to do. */
export class FileError extends Error {
  override readonly name = 'FileError';
  readonly path: string;
  /** The operating system's code, such as "ENOSPC", where there is one. */
  readonly code: string | undefined;

  constructor(action: 'read' | 'write', path: string, problem: string, cure: string, cause?: unknown) {
    super(
      `cannot ${action} ${oneLine(path)}: ${oneLine(problem)}; ${cure}`,
      cause === undefined ? undefined : { cause },
    );
    this.path = path;
    this.code = systemCode(cause);
  }
}

/** The operating system's error code of a rejection, if it is one. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code;
}

const explanations: Readonly<Record<string, readonly [problem: string, cure: string]>> = {
  ENOSPC: ['the disk is full', 'free space or choose another folder'],
  EDQUOT: ['the disk quota is used up', 'free space or choose another folder'],
  EFBIG: ['the file system does not take a file of this size', 'choose a folder on another file system'],
  EACCES: ['permission denied', 'change the permissions or choose another folder'],
  EPERM: ['the system does not permit it', 'change the permissions or choose another folder'],
  EROFS: ['the file system is read-only', 'choose another folder'],
  ENOENT: ['no such file or folder', 'check the path, or create the folder first'],
  ENOTDIR: ['a part of the path is not a folder', 'check the path'],
  EISDIR: ['it is a folder', 'name a file'],
  EMFILE: ['too many open files', 'close some or raise the limit (ulimit -n)'],
  ENAMETOOLONG: ['the name is too long', 'choose a shorter one'],
  EIO: ['the device reports an input/output error', 'check the disk'],
  EBADF: ['the file is closed already', 'open it again'],
};

/** The problem and the cure of an operating system error, in words. */
export function explain(error: unknown): { problem: string; cure: string } {
  const code = systemCode(error);
  const known = code === undefined || !Object.hasOwn(explanations, code) ? undefined : explanations[code];
  if (known) return { problem: `${known[0]} (${code})`, cure: known[1] };
  return { problem: error instanceof Error ? error.message : String(error), cure: 'check the path and the disk' };
}
