/** Loops over the rows of contiguous [rows, columns] matrices, for the row-wise kernel families, and their division. */
import { i32 } from '../emit/index.js';
import type { FunctionBuilder, Local, Operand } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { ExportedKernel, KernelHost } from './host.js';

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

/** Rows that are walked along side by side: what they share is loaded once. */
export interface RowGroup {
  /** A cursor for each row of the group, for each of the matrices. */
  readonly cursors: readonly (readonly Local<'i32'>[])[];
  /** Puts the cursors at the starts of the rows. */
  reset(): void;
}

/**
 * Runs `body` once per group of `together` rows, and once per row that is left; afterwards the matrices' pointers are behind
 * the last row. `rows` is consumed.
 */
export function forEachRowGroup(
  f: FunctionBuilder,
  {
    rows,
    rowBytes,
    together,
  }: { readonly rows: Local<'i32'>; readonly rowBytes: Local<'i32'>; readonly together: number },
  matrices: readonly Local<'i32'>[],
  body: (group: RowGroup) => void,
): void {
  for (const size of together > 1 ? [together, 1] : [1]) {
    const cursors = matrices.map(({ name }) =>
      Array.from({ length: size }, (_, i) => f.local('i32', `${name}Row${i}`)),
    );
    const reset = (): void =>
      cursors.forEach((ofRows, matrix) => {
        ofRows.forEach((cursor, i) => f.set(cursor, i === 0 ? matrices[matrix]! : i32.add(ofRows[i - 1]!, rowBytes)));
      });
    f.countDown(rows, size, () => {
      body({ cursors, reset });
      for (const matrix of matrices) f.set(matrix, i32.add(matrix, i32.mul(rowBytes, size)));
    });
  }
}

/** Rows to divide, and how many elements are worth a part of the work of their own. */
export interface RowDivision {
  readonly rows: number;
  readonly columns: number;
  readonly grain: number;
}

/**
 * Calls a kernel for runs of rows.
 *
 * @param valuesOf is given the bytes before the first row in an f32 matrix of these columns, the row itself, and how many.
 */
export function divideRows(
  host: KernelHost,
  kernel: ExportedKernel,
  { rows, columns, grain }: RowDivision,
  valuesOf: (at: number, first: number, size: number) => readonly number[],
): void {
  const rowBytes = columns * F32_BYTES;
  host.divide(kernel, { count: rows, grain: Math.ceil(grain / Math.max(1, columns)) }, (first, size) =>
    valuesOf(first * rowBytes, first, size),
  );
}
