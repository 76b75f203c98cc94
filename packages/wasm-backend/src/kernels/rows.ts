/** Loops over the rows of contiguous [rows, columns] matrices, for the row-wise kernel families. */
import { i32 } from '../emit/index.js';
import type { FunctionBuilder, Local, Operand } from '../emit/index.js';

/** Runs `body` once per row; afterwards every pointer has moved by its step in bytes. `rows` is consumed. */
export function forEachRow(
  f: FunctionBuilder,
  rows: Local<'i32'>,
  pointers: readonly (readonly [pointer: Local<'i32'>, step: Operand<'i32'>])[],
  body: () => void,
): void {
  f.countDown(rows, 1, () => {
    body();
    for (const [pointer, step] of pointers) f.set(pointer, i32.add(pointer, step));
  });
}

/** Copies of row pointers for one pass over a row; `reset` starts the pass again. */
export function rowCursors(
  f: FunctionBuilder,
  ...pointers: readonly Local<'i32'>[]
): { readonly cursors: readonly Local<'i32'>[]; reset(): void } {
  const cursors = pointers.map((pointer) => f.local('i32', `${pointer.name}Cursor`));
  return { cursors, reset: () => pointers.forEach((pointer, i) => f.set(cursors[i] as Local<'i32'>, pointer)) };
}
