/**
 * Rows picked from a table: to[i, :] = table[indices[i], :], rows of any number of bytes.
 */
import { i32, memory, v128 } from '../emit/index.js';
import type { Statement } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';

/** Rows from this length on are copied by the engine. */
const LONG_ROW = 1024;
/** Bytes that are worth a part of the work of their own. */
const GRAIN = 2 ** 17;

/** Offsets in bytes. */
export interface GatherArguments {
  /** [count, rowBytes], written; does not overlap the table. */
  readonly to: number;
  /** [rows, rowBytes] */
  readonly table: number;
  /** i32 [count], each from 0 to rows - 1. */
  readonly indices: number;
  readonly count: number;
  readonly rows: number;
  readonly rowBytes: number;
}

/** Rows of a table. */
export interface GatherKernels {
  gather(operands: GatherArguments): void;
}

/** Emits the kernel. */
export function emitGather({ module }: KernelContext): void {
  const parameters = { to: 'i32', table: 'i32', indices: 'i32', count: 'i32', rowBytes: 'i32' } as const;
  module.function({ name: 'gather', parameters, result: 'void', exported: true }, (f, p) => {
    const [from, left] = [f.local('i32', 'from'), f.local('i32', 'left')];
    const forEachIndex = (body: () => void): void => {
      f.countDown(p.count, 1, () => {
        f.set(from, i32.add(p.table, i32.mul(i32.load(p.indices), p.rowBytes)));
        body();
        f.set(p.indices, i32.add(p.indices, F32_BYTES));
      });
    };
    f.if(i32.geUnsigned(p.rowBytes, LONG_ROW), () => {
      forEachIndex(() => {
        f.do(memory.copy(p.to, from, p.rowBytes));
        f.set(p.to, i32.add(p.to, p.rowBytes));
      });
      f.return();
    });
    const pieces: readonly (readonly [bytes: number, move: Statement])[] = [
      [16, v128.store(p.to, v128.load(from))],
      [4, i32.store(p.to, i32.load(from))],
      [1, i32.store8(p.to, i32.load8Unsigned(from))],
    ];
    forEachIndex(() => {
      f.set(left, p.rowBytes);
      for (const [bytes, move] of pieces) {
        f.countDown(left, bytes, () => {
          f.do(move);
          for (const pointer of [from, p.to]) f.set(pointer, i32.add(pointer, bytes));
        });
      }
    });
  });
}

/** Binds the kernel; it divides the indices. */
export function bindGather(host: KernelHost): GatherKernels {
  const gather = host.kernel('gather');
  return {
    gather({ to, table, indices, count, rows, rowBytes }) {
      host.checkSize('gather rowBytes', rowBytes);
      host.checkRange('gather to', to, count * rowBytes, 1);
      host.checkRange('gather table', table, rows * rowBytes, 1);
      host.checkRange('gather indices', indices, count);
      host.divide(gather, { count, grain: Math.ceil(GRAIN / Math.max(1, rowBytes)) }, (first, size) => [
        to + first * rowBytes,
        table,
        indices + first * F32_BYTES,
        size,
        rowBytes,
      ]);
    },
  };
}
