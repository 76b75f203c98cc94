/**
 * Softmax and log-sum-exp over the last axis of contiguous f32 [rows, columns].
 *
 *   softmax        y_i = e^(x_i - max) / sum_j e^(x_j - max); a row of only -Infinity gives zeros
 *     backward     dx = y (dy - sum_j y_j dy_j)
 *   logSumExp      max + log sum_j e^(x_j - max); -Infinity for a row of only -Infinity
 *
 * Outputs may be the arrays they are computed from. Sums are f32 in interleaved partial sums.
 */
import { f32x4, i32, memory, v128 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachOfRow, RowTotal, splat } from './row-pass.js';
import { divideRows, forEachRow, rowCursors } from './rows.js';
import { emitExponentials, emitRowLogSumExp, emitRowMaximum, isEmptyRow } from './softmax-rows.js';

const UNROLL_SUM = 8;
const UNROLL = 4;
/** Elements that are worth a part of the work of their own. */
const GRAIN = 2 ** 15;

/** Softmax, its gradient and the logarithm of its denominator. */
export interface SoftmaxKernels {
  /** y[r, :] = softmax(x[r, :]); `y` may be `x`. */
  softmax(y: number, x: number, rows: number, columns: number): void;
  /** (dx, y, dy, rows, columns); `dx` may be `dy`. */
  softmaxBackward(dx: number, y: number, dy: number, rows: number, columns: number): void;
  /** out[r] = log sum over c of e^x[r, c]. */
  logSumExp(out: number, x: number, rows: number, columns: number): void;
}

/** Emits the family. */
export function emitSoftmax(context: KernelContext): void {
  emitSoftmaxForward(context);
  emitSoftmaxBackward(context);
  emitLogSumExp(context);
}

function emitSoftmaxForward({ module, arithmetic }: KernelContext): void {
  const parameters = { y: 'i32', x: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.function({ name: 'softmax', parameters, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const rowMaximum = emitRowMaximum(f);
    const normalize = emitExponentials(f, arithmetic);
    const steps = [
      [p.x, rowBytes],
      [p.y, rowBytes],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      const maximum = rowMaximum(p.x, p.columns);
      f.if(
        isEmptyRow(maximum),
        () => f.do(memory.fill(p.y, 0, rowBytes)),
        () => void normalize(p.y, p.x, p.columns, maximum),
      );
    });
  });
}

function emitSoftmaxBackward({ module, arithmetic }: KernelContext): void {
  const parameters = { dx: 'i32', y: 'i32', dy: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.function({ name: 'softmaxBackward', parameters, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const sums = new RowTotal(f, 'sum', UNROLL_SUM);
    const row = rowCursors(f, p.dx, p.y, p.dy);
    const [dx, y, dy] = row.cursors as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const steps = [
      [p.dx, rowBytes],
      [p.y, rowBytes],
      [p.dy, rowBytes],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      row.reset();
      sums.start();
      const sum = { cursors: [y, dy], count: p.columns, unroll: UNROLL_SUM, totals: [sums] };
      forEachOfRow(f, sum, (lanes) => {
        lanes.update(sums, (total) => arithmetic.multiplyAdd(lanes.load(y), lanes.load(dy), total));
      });
      const mean = splat(f, 'mean', sums.value());
      row.reset();
      forEachOfRow(f, { cursors: [dx, y, dy], count: p.columns, unroll: UNROLL }, (lanes) => {
        lanes.store(dx, f32x4.mul(lanes.load(y), f32x4.sub(lanes.load(dy), mean)));
      });
    });
  });
}

function emitLogSumExp({ module, arithmetic }: KernelContext): void {
  const parameters = { out: 'i32', x: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.function({ name: 'logSumExp', parameters, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const rowLogSumExp = emitRowLogSumExp(f, arithmetic);
    const steps = [
      [p.x, rowBytes],
      [p.out, F32_BYTES],
    ] as const;
    forEachRow(f, p.rows, steps, () => f.do(v128.store32Lane(p.out, rowLogSumExp(p.x, p.columns), 0)));
  });
}

/** Binds the family; all divide the rows. */
export function bindSoftmax(host: KernelHost): SoftmaxKernels {
  const softmax = host.kernel('softmax');
  const softmaxBackward = host.kernel('softmaxBackward');
  const logSumExp = host.kernel('logSumExp');
  return {
    softmax(y, x, rows, columns) {
      host.checkMatrix('softmax', { y, x }, rows, columns);
      divideRows(host, softmax, { rows, columns, grain: GRAIN }, (at, _first, size) => [y + at, x + at, size, columns]);
    },
    softmaxBackward(dx, y, dy, rows, columns) {
      host.checkMatrix('softmaxBackward', { dx, y, dy }, rows, columns);
      divideRows(host, softmaxBackward, { rows, columns, grain: 2 * GRAIN }, (at, _first, size) => [
        dx + at,
        y + at,
        dy + at,
        size,
        columns,
      ]);
    },
    logSumExp(out, x, rows, columns) {
      host.checkMatrix('logSumExp', { x }, rows, columns);
      host.checkRange('logSumExp out', out, rows);
      divideRows(host, logSumExp, { rows, columns, grain: GRAIN }, (at, first, size) => [
        out + first * F32_BYTES,
        x + at,
        size,
        columns,
      ]);
    },
  };
}
