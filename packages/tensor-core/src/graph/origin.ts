/**
 * Where in the user's program a node was built.
 *
 * Reading a call stack costs microseconds, so nodes remember their line only while `trackOrigins(true)` holds (development,
 * debugging). Errors at the moment of building need no tracking: their own stack has the line.
 */

/** Frames below this address are the package's own. */
const packageRoot = new URL('..', import.meta.url).href;

let tracking = false;

/**
 * Makes every node built from now on remember the source line that built it: `plan.explain()`, the warnings of a memory
 * budget, and errors about the contents of operands then name it. (Indices that a GPU kernel finds out of range come back
 * without the line.) Costs a few microseconds per node.
 *
 * @returns whether origins were tracked before.
 */
export function trackOrigins(enabled: boolean): boolean {
  const before = tracking;
  tracking = enabled;
  return before;
}

/** The line that is building a node now, while origins are tracked. */
export const trackedOrigin = (): string | undefined => (tracking ? callingLine() : undefined);

/** Frames to look through: the package's own lie between an op and the user's line. */
const depth = 50;

/** `file:line:column` at the end of a stack frame, with or without parentheses; frames of the engine itself have none. */
const framePlace = /[\s(]((?:(?:file|https?):\/\/|\/|[A-Za-z]:\\).*:\d+:\d+)\)?$/;

/** The innermost line outside this package that is running now, as `file:line:column`; undefined where none is known. */
export function callingLine(): string | undefined {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = depth;
  const { stack } = new Error('a stack');
  Error.stackTraceLimit = before;
  for (const line of stack?.split('\n').slice(1) ?? []) {
    const place = framePlace.exec(line)?.[1];
    if (place !== undefined && !isOwn(place)) return place.replace(/^file:\/\//, '');
  }
  return undefined;
}

const isOwn = (place: string): boolean =>
  place.startsWith(packageRoot) || `file://${place}`.startsWith(packageRoot) || place.includes('/node_modules/');

/** `error` with the line that built the failing node in its message, where that is known. */
export function withOrigin(error: unknown, origin: string | undefined): unknown {
  if (origin !== undefined && error instanceof Error) error.message += ` (at ${origin})`;
  return error;
}
