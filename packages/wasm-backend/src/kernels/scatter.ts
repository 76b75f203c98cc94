/**
 * Rows added into a table: y[indices[i], :] += updates[i, :], in index order, so that f32 sums are the same on every run.
 *
 * Threads take columns: no two write one element, and each adds in index order.
 */
import { f32x4, i32, i32x4 } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachVector } from './vector-loop.js';

const UNROLL = 2;
/** Elements that are worth a part of the work of their own, and columns of a cache line. */
const GRAIN = 2 ** 15;
const LINE = 16;

export type AddedType = 'f32' | 'i32';

/** Offsets in bytes, sizes in elements. */
export interface ScatterArguments {
  /** [rows, columns], added to. */
  readonly y: number;
  /** [count, columns] */
  readonly updates: number;
  /** i32 [count], each from 0 to rows - 1. */
  readonly indices: number;
  readonly rows: number;
  readonly count: number;
  readonly columns: number;
}

/** Sums of rows. */
export interface ScatterKernels {
  /** Unsigned words are added as `i32`. */
  scatterAdd(dtype: AddedType, operands: ScatterArguments): void;
}

const ADD = { f32: f32x4.add, i32: i32x4.add } as const;

/** Emits a kernel per type. */
export function emitScatter({ module }: KernelContext): void {
  const parameters = {
    y: 'i32',
    updates: 'i32',
    indices: 'i32',
    count: 'i32',
    columns: 'i32',
    rowBytes: 'i32',
  } as const;
  for (const dtype of ['f32', 'i32'] as const) {
    module.function({ name: `scatterAdd_${dtype}`, parameters, result: 'void', exported: true }, (f, p) => {
      const [to, from] = [f.local('i32', 'to'), f.local('i32', 'from')];
      f.countDown(p.count, 1, () => {
        f.set(to, i32.add(p.y, i32.mul(i32.load(p.indices), p.rowBytes)));
        f.set(from, p.updates);
        forEachVector(f, { cursors: [to, from], count: p.columns, unroll: UNROLL }, (lanes) => {
          f.do(lanes.store(to, ADD[dtype](lanes.load(to), lanes.load(from))));
        });
        f.set(p.updates, i32.add(p.updates, p.rowBytes));
        f.set(p.indices, i32.add(p.indices, F32_BYTES));
      });
    });
  }
}

/** Binds the kernels; they divide the columns. */
export function bindScatter(host: KernelHost): ScatterKernels {
  const kernels = { f32: host.kernel('scatterAdd_f32'), i32: host.kernel('scatterAdd_i32') };
  return {
    scatterAdd(dtype, { y, updates, indices, rows, count, columns }) {
      host.checkMatrix('scatterAdd', { y }, rows, columns);
      host.checkMatrix('scatterAdd', { updates }, count, columns);
      host.checkRange('scatterAdd indices', indices, count);
      if (count * columns === 0) return;
      const division = { count: columns, grain: Math.ceil(GRAIN / count), multiple: LINE };
      host.divide(kernels[dtype], division, (first, size) => [
        y + first * F32_BYTES,
        updates + first * F32_BYTES,
        indices,
        count,
        size,
        columns * F32_BYTES,
      ]);
    },
  };
}
