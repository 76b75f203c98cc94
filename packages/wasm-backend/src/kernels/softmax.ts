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
import type { KernelContext, KernelHost } from './host.js';
import { forEachRow, rowCursors } from './rows.js';
import { emitExponentials, emitRowLogSumExp, emitRowMaximum, isEmptyRow } from './softmax-rows.js';
import { Accumulators, forEachVector } from './vector-loop.js';

const UNROLL = 4;

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
    const sums = new Accumulators(f, 'sum', UNROLL);
    const row = rowCursors(f, p.dx, p.y, p.dy);
    const [dx, y, dy] = row.cursors as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const steps = [
      [p.dx, rowBytes],
      [p.y, rowBytes],
      [p.dy, rowBytes],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      row.reset();
      sums.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [y, dy], count: p.columns, unroll: UNROLL }, (lanes) => {
        const sum = sums.of(lanes.copy);
        f.set(sum, arithmetic.multiplyAdd(lanes.own(lanes.load(y)), lanes.load(dy), sum));
      });
      const mean = sums.sum();
      row.reset();
      forEachVector(f, { cursors: [dx, y, dy], count: p.columns, unroll: UNROLL }, (lanes) => {
        f.do(lanes.store(dx, f32x4.mul(lanes.load(y), f32x4.sub(lanes.load(dy), mean))));
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
      [p.out, 4],
    ] as const;
    forEachRow(f, p.rows, steps, () => f.do(v128.store32Lane(p.out, rowLogSumExp(p.x, p.columns), 0)));
  });
}

/** Binds the family. */
export function bindSoftmax(host: KernelHost): SoftmaxKernels {
  const softmax = host.kernel('softmax');
  const softmaxBackward = host.kernel('softmaxBackward');
  const logSumExp = host.kernel('logSumExp');
  return {
    softmax(y, x, rows, columns) {
      host.checkMatrix('softmax', { y, x }, rows, columns);
      softmax(y, x, rows, columns);
    },
    softmaxBackward(dx, y, dy, rows, columns) {
      host.checkMatrix('softmaxBackward', { dx, y, dy }, rows, columns);
      softmaxBackward(dx, y, dy, rows, columns);
    },
    logSumExp(out, x, rows, columns) {
      host.checkMatrix('logSumExp', { x }, rows, columns);
      host.checkRange('logSumExp out', out, rows);
      logSumExp(out, x, rows, columns);
    },
  };
}
