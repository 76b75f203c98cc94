/**
 * How a command ends badly: one line for people, an exit code for scripts.
 *
 *   1    the input or the machine is at fault
 *   2    the command was used wrongly
 *   130  the user interrupted it (128 + SIGINT)
 *
 * Every library error of this project already names the thing and the cure in one line; errors of the operating system are
 * put into words here. Anything else is a fault of the program and says so.
 */

/** The command was given options or arguments that make no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Something the user gave cannot be used. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** The user asked to stop, and the command did so in good order. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

export const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** Errors of JavaScript itself: from this program they mean a fault in it. */
const FAULTS: readonly (new (message: string) => Error)[] = [
  TypeError,
  ReferenceError,
  SyntaxError,
  URIError,
  EvalError,
];

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free space or choose another folder',
  EDQUOT: 'the disk quota is used up; free space or choose another folder',
  EFBIG: 'the file system does not take a file of this size; choose another folder',
  EACCES: 'permission denied; change the permissions or choose another folder',
  EPERM: 'the system does not permit it; change the permissions or choose another folder',
  EROFS: 'the file system is read-only; choose another folder',
  ENOENT: 'no such file or folder; check the path',
  ENOTDIR: 'a part of the path is not a folder; check the path',
  EEXIST: 'a file of that name is in the way; choose another name',
  EISDIR: 'it is a folder; name a file',
};

/** The operating system's view of an error, if it is one: its code and the path it is about. */
function systemError(error: Error): { readonly code: string; readonly path: string } | undefined {
  if (!('syscall' in error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  const path = 'path' in error && typeof error.path === 'string' ? error.path : 'the file';
  return { code: error.code, path };
}

/** The error as one line without a line break, for people. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `unexpected: ${oneLine(String(error))}`;
  const system = systemError(error);
  if (system) return oneLine(`${system.path}: ${SYSTEM_ERRORS[system.code] ?? error.message} (${system.code})`);
  const isFault = FAULTS.some((fault) => error instanceof fault);
  return isFault
    ? `unexpected: ${oneLine(error.message)}; run again with MINDSEYE_DEBUG=1 and report it`
    : oneLine(error.message);
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  return error instanceof InterruptedError ? exitCodes.interrupted : exitCodes.failure;
}

/** Control characters would let a file name forge a second line or colour the terminal. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
