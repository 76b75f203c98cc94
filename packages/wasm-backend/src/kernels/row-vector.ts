/** The broadcast of a vector over the rows of a matrix: how a bias is added. */
import { f32x4 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachOfRow } from './row-pass.js';
import { divideRows, forEachRow, rowCursors } from './rows.js';

const UNROLL = 4;
/** Elements that are worth a part of the work of their own. */
const GRAIN = 2 ** 16;

/** Offsets in bytes, sizes in elements, matrices contiguous [rows, columns]. */
export interface RowVectorKernels {
  /** out[r, c] = x[r, c] + vector[c]; `out` may be `x`. */
  addRowVector(out: number, x: number, vector: number, rows: number, columns: number): void;
}

/** Emits the kernel. */
export function emitRowVector({ module }: KernelContext): void {
  const parameters = { out: 'i32', x: 'i32', vector: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.function({ name: 'addRowVector', parameters, result: 'void', exported: true }, (f, p) => {
    const vector = rowCursors(f, p.vector);
    const [vectorCursor] = vector.cursors as readonly [Local<'i32'>];
    forEachRow(f, p.rows, [], () => {
      vector.reset();
      forEachOfRow(f, { cursors: [p.out, p.x, vectorCursor], count: p.columns, unroll: UNROLL }, (lanes) => {
        lanes.store(p.out, f32x4.add(lanes.load(p.x), lanes.load(vectorCursor)));
      });
    });
  });
}

/** Binds the kernel; it divides the rows. */
export function bindRowVector(host: KernelHost): RowVectorKernels {
  const addRowVector = host.kernel('addRowVector');
  return {
    addRowVector(out, x, vector, rows, columns) {
      host.checkMatrix('addRowVector', { out, x }, rows, columns);
      host.checkRange('addRowVector vector', vector, columns);
      divideRows(host, addRowVector, { rows, columns, grain: GRAIN }, (at, _first, size) => [
        out + at,
        x + at,
        vector,
        size,
        columns,
      ]);
    },
  };
}
