/**
 * Softmax, log-sum-exp and cross entropy over the last axis of contiguous f32 [rows, columns].
 *
 *   softmax        y_i = e^(x_i - max) / sum_j e^(x_j - max); a row of only -Infinity gives zeros
 *     backward     dx = y (dy - sum_j y_j dy_j)
 *   logSumExp      max + log sum_j e^(x_j - max); -Infinity for a row of only -Infinity
 *   cross entropy  loss = logSumExp(x) - x_label, and dx = (softmax(x) - onehot(label)) dloss; a label of -100 gives 0
 *
 * Outputs may be the arrays they are computed from. Sums are f32 in interleaved partial sums.
 */
import { f32, f32x4, i32, memory, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachRow, rowCursors } from './rows.js';
import type { Arithmetic } from './tier.js';
import { emitExp, emitLogOfNormal } from './transcendental.js';
import { Accumulators, forEachVector, vectorConstant } from './vector-loop.js';

const UNROLL = 4;
const UNROLL_EXP = 2;

/** The label of rows without a target (torch.nn.functional.cross_entropy). */
const IGNORED_LABEL = -100;

/** Offsets in bytes, sizes in elements. */
export interface CrossEntropyArguments {
  /** [rows, classes]. */
  readonly logits: number;
  /** i32 [rows], each in [0, classes) or -100. */
  readonly labels: number;
  /** [rows], written. */
  readonly loss: number;
  readonly rows: number;
  readonly classes: number;
}

/** Offsets in bytes, sizes in elements. */
export interface CrossEntropyBackwardArguments {
  readonly logits: number;
  readonly labels: number;
  /** [rows]. */
  readonly dloss: number;
  /** [rows, classes], written. */
  readonly dlogits: number;
  readonly rows: number;
  readonly classes: number;
}

/** Softmax and its relatives. */
export interface SoftmaxKernels {
  /** y[r, :] = softmax(x[r, :]); `y` may be `x`. */
  softmax(y: number, x: number, rows: number, columns: number): void;
  /** (dx, y, dy, rows, columns); `dx` may be `dy`. */
  softmaxBackward(dx: number, y: number, dy: number, rows: number, columns: number): void;
  /** out[r] = log sum over c of e^x[r, c]. */
  logSumExp(out: number, x: number, rows: number, columns: number): void;
  softmaxCrossEntropy(operands: CrossEntropyArguments): void;
  softmaxCrossEntropyBackward(operands: CrossEntropyBackwardArguments): void;
}

/** Writes code that computes the log-sum-exp of a row, in every lane. */
type RowLogSumExp = (pointer: Local<'i32'>, columns: Local<'i32'>) => Local<'v128'>;

/** Emits the largest element of a row, in every lane; -Infinity if there is none. */
export function emitRowMaximum(f: FunctionBuilder): (pointer: Local<'i32'>, columns: Local<'i32'>) => Local<'v128'> {
  const lowest = vectorConstant(f, 'lowest', -Infinity);
  const largest = new Accumulators(f, 'largest', UNROLL);
  return (pointer, columns) => {
    const cursor = f.let('cursor', pointer);
    largest.fill(lowest);
    forEachVector(f, { cursors: [cursor], count: columns, unroll: UNROLL }, (lanes) => {
      const local = largest.of(lanes.copy);
      // NaN elements compare false and are passed over here; they come back through e^(x - max).
      f.set(local, f32x4.pmax(local, lanes.load(cursor)));
    });
    return largest.combine(f32x4.pmax);
  };
}

/** A row maximum of -Infinity means that nothing is there to normalise. */
export function isEmptyRow(maximum: Local<'v128'>): Expression<'i32'> {
  return f32.eq(f32x4.extractLane(maximum, 0), -Infinity);
}

function emitRowLogSumExp(f: FunctionBuilder, arithmetic: Arithmetic): RowLogSumExp {
  const exp = emitExp(f, arithmetic);
  const log = emitLogOfNormal(f, arithmetic);
  const rowMaximum = emitRowMaximum(f);
  const sums = new Accumulators(f, 'sum', UNROLL_EXP);
  const result = f.local('v128', 'logSumExp');
  return (pointer, columns) => {
    const maximum = rowMaximum(pointer, columns);
    f.set(result, maximum);
    const isInfinite = f32.eq(f32.abs(f32x4.extractLane(maximum, 0)), Infinity);
    f.if(i32.eqz(isInfinite), () => {
      const cursor = f.let('cursor', pointer);
      sums.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [cursor], count: columns, unroll: UNROLL_EXP }, (lanes) => {
        const sum = sums.of(lanes.copy);
        f.set(sum, f32x4.add(sum, lanes.own(exp(f32x4.sub(lanes.load(cursor), maximum)))));
      });
      const total = sums.sum();
      // A NaN sum has no logarithm; adding it keeps it NaN.
      const isNumber = f32x4.eq(total, total);
      f.set(result, f32x4.add(maximum, v128.bitselect(log(total), total, isNumber)));
    });
    return result;
  };
}

/** Emits the family. */
export function emitSoftmax(context: KernelContext): void {
  emitSoftmaxForward(context);
  emitSoftmaxBackward(context);
  emitLogSumExp(context);
  emitCrossEntropy(context);
  emitCrossEntropyBackward(context);
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

/** Writes y = e^(x - maximum) / sum over a row and returns the sum, in every lane. */
export function emitExponentials(
  f: FunctionBuilder,
  arithmetic: Arithmetic,
): (y: Local<'i32'>, x: Local<'i32'>, columns: Local<'i32'>, maximum: Local<'v128'>) => Local<'v128'> {
  const exp = emitExp(f, arithmetic);
  const one = vectorConstant(f, 'one', 1);
  const sums = new Accumulators(f, 'sum', UNROLL_EXP);
  return (y, x, columns, maximum) => {
    const from = f.let('from', x);
    const to = f.let('to', y);
    sums.fill(f32x4.constant(0));
    forEachVector(f, { cursors: [from, to], count: columns, unroll: UNROLL_EXP }, (lanes) => {
      const value = exp(f32x4.sub(lanes.load(from), maximum));
      f.do(lanes.store(to, value));
      const sum = sums.of(lanes.copy);
      f.set(sum, f32x4.add(sum, lanes.own(value)));
    });
    const total = sums.sum();
    const inverse = f.let('inverse', f32x4.div(one, total));
    f.set(to, y);
    forEachVector(f, { cursors: [to], count: columns, unroll: UNROLL }, (lanes) => {
      f.do(lanes.store(to, f32x4.mul(lanes.load(to), inverse)));
    });
    return total;
  };
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

function emitCrossEntropy({ module, arithmetic }: KernelContext): void {
  const parameters = { loss: 'i32', logits: 'i32', labels: 'i32', rows: 'i32', classes: 'i32' } as const;
  module.function({ name: 'softmaxCrossEntropy', parameters, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.classes, 2));
    const rowLogSumExp = emitRowLogSumExp(f, arithmetic);
    const label = f.local('i32', 'label');
    const steps = [
      [p.logits, rowBytes],
      [p.labels, 4],
      [p.loss, 4],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      f.set(label, i32.load(p.labels));
      f.if(
        i32.eq(label, IGNORED_LABEL),
        () => f.do(f32.store(p.loss, 0)),
        () => {
          const normalizer = f32x4.extractLane(rowLogSumExp(p.logits, p.classes), 0);
          const target = f32.load(i32.add(p.logits, i32.shl(label, 2)));
          f.do(f32.store(p.loss, f32.sub(normalizer, target)));
        },
      );
    });
  });
}

function emitCrossEntropyBackward({ module, arithmetic }: KernelContext): void {
  const parameters = { dlogits: 'i32', logits: 'i32', labels: 'i32', dloss: 'i32', rows: 'i32', classes: 'i32' } as const;
  module.function({ name: 'softmaxCrossEntropyBackward', parameters, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.classes, 2));
    const rowMaximum = emitRowMaximum(f);
    const normalize = emitExponentials(f, arithmetic);
    const label = f.local('i32', 'label');
    const cursor = f.local('i32', 'scaled');
    const steps = [
      [p.dlogits, rowBytes],
      [p.logits, rowBytes],
      [p.labels, 4],
      [p.dloss, 4],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      f.set(label, i32.load(p.labels));
      f.if(
        i32.eq(label, IGNORED_LABEL),
        () => f.do(memory.fill(p.dlogits, 0, rowBytes)),
        () => {
          normalize(p.dlogits, p.logits, p.classes, rowMaximum(p.logits, p.classes));
          const target = f.let('target', i32.add(p.dlogits, i32.shl(label, 2)));
          f.do(f32.store(target, f32.sub(f32.load(target), 1)));
          const factor = f.let('factor', v128.load32Splat(p.dloss));
          f.set(cursor, p.dlogits);
          forEachVector(f, { cursors: [cursor], count: p.classes, unroll: UNROLL }, (lanes) => {
            f.do(lanes.store(cursor, f32x4.mul(lanes.load(cursor), factor)));
          });
        },
      );
    });
  });
}

/** Binds the family. */
export function bindSoftmax(host: KernelHost): SoftmaxKernels {
  const softmax = host.kernel('softmax');
  const softmaxBackward = host.kernel('softmaxBackward');
  const logSumExp = host.kernel('logSumExp');
  const crossEntropy = host.kernel('softmaxCrossEntropy');
  const crossEntropyBackward = host.kernel('softmaxCrossEntropyBackward');
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
    softmaxCrossEntropy({ logits, labels, loss, rows, classes }) {
      host.checkMatrix('softmaxCrossEntropy', { logits }, rows, classes);
      host.checkRange('softmaxCrossEntropy loss', loss, rows);
      checkLabels(host, labels, rows, classes);
      crossEntropy(loss, logits, labels, rows, classes);
    },
    softmaxCrossEntropyBackward({ logits, labels, dloss, dlogits, rows, classes }) {
      host.checkMatrix('softmaxCrossEntropyBackward', { logits, dlogits }, rows, classes);
      host.checkRange('softmaxCrossEntropyBackward dloss', dloss, rows);
      checkLabels(host, labels, rows, classes);
      crossEntropyBackward(dlogits, logits, labels, dloss, rows, classes);
    },
  };
}

/** A label outside the classes would read or write another row, so it is refused before the kernel runs. */
function checkLabels(host: KernelHost, labels: number, rows: number, classes: number): void {
  host.checkRange('softmaxCrossEntropy labels', labels, rows);
  const view = new DataView(host.memory.buffer, labels, rows * 4);
  for (let row = 0; row < rows; row += 1) {
    const label = view.getInt32(4 * row, true);
    if (label !== IGNORED_LABEL && !(label >= 0 && label < classes)) {
      throw new RangeError(
        `softmaxCrossEntropy: label ${label} of row ${row} is not one of the ${classes} classes; use ${IGNORED_LABEL} to ignore a row`,
      );
    }
  }
}
