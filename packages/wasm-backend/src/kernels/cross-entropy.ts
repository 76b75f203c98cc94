/**
 * Cross entropy of softmax(logits) against class labels, per row (torch.nn.functional.cross_entropy, reduction "none").
 *
 *   logits [rows, classes], labels i32 [rows]:  loss = logSumExp(logits) - logit of the label
 *   backward  dlogits = (softmax(logits) - onehot(label)) dloss
 *
 * A label of -100 is ignored: loss 0, gradient 0. `dlogits` may be `logits`.
 */
import { f32, f32x4, i32, memory } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { splat } from './row-pass.js';
import { divideRows, forEachRow } from './rows.js';
import { emitRowLogSumExp, emitRowMaximum, emitShiftedExponentials, scaleRow } from './softmax-rows.js';

/** Elements that are worth a part of the work of their own. */
const GRAIN = 2 ** 15;

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

/** Cross entropy and its gradient. */
export interface CrossEntropyKernels {
  softmaxCrossEntropy(operands: CrossEntropyArguments): void;
  softmaxCrossEntropyBackward(operands: CrossEntropyBackwardArguments): void;
}

/** Emits both directions. */
export function emitCrossEntropy(context: KernelContext): void {
  emitForward(context);
  emitBackward(context);
  emitLabelCheck(context);
}

/** The first row whose label is neither ignored nor a class, or the number of rows. */
function emitLabelCheck({ module }: KernelContext): void {
  const parameters = { labels: 'i32', rows: 'i32', classes: 'i32' } as const;
  module.function({ name: 'firstWrongLabel', parameters, result: 'i32', exported: true }, (f, p) => {
    const row = f.local('i32', 'row');
    f.for({ index: row, from: 0, below: p.rows, step: 1 }, () => {
      const label = f.let('label', i32.load(i32.add(p.labels, i32.shl(row, 2))));
      const isWrong = i32.and(i32.ne(label, IGNORED_LABEL), i32.geUnsigned(label, p.classes));
      f.if(isWrong, () => f.return(row));
    });
    f.return(p.rows);
  });
}

function emitForward({ module, arithmetic }: KernelContext): void {
  const parameters = { loss: 'i32', logits: 'i32', labels: 'i32', rows: 'i32', classes: 'i32' } as const;
  module.function({ name: 'softmaxCrossEntropy', parameters, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.classes, 2));
    const rowLogSumExp = emitRowLogSumExp(f, arithmetic);
    const label = f.local('i32', 'label');
    const steps = [
      [p.logits, rowBytes],
      [p.labels, F32_BYTES],
      [p.loss, F32_BYTES],
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

function emitBackward({ module, arithmetic }: KernelContext): void {
  const parameters = {
    dlogits: 'i32',
    logits: 'i32',
    labels: 'i32',
    dloss: 'i32',
    rows: 'i32',
    classes: 'i32',
  } as const;
  module.function({ name: 'softmaxCrossEntropyBackward', parameters, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.classes, 2));
    const rowMaximum = emitRowMaximum(f);
    const exponentials = emitShiftedExponentials(f, arithmetic);
    const label = f.local('i32', 'label');
    const steps = [
      [p.dlogits, rowBytes],
      [p.logits, rowBytes],
      [p.labels, F32_BYTES],
      [p.dloss, F32_BYTES],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      f.set(label, i32.load(p.labels));
      f.if(
        i32.eq(label, IGNORED_LABEL),
        () => f.do(memory.fill(p.dlogits, 0, rowBytes)),
        () => {
          const total = exponentials(p.dlogits, p.logits, p.classes, rowMaximum(p.logits, p.classes));
          const weight = f.let('weight', f32.load(p.dloss));
          scaleRow(f, p.dlogits, p.classes, splat(f, 'factor', f32.div(weight, total)));
          const target = f.let('target', i32.add(p.dlogits, i32.shl(label, 2)));
          f.do(f32.store(target, f32.sub(f32.load(target), weight)));
        },
      );
    });
  });
}

/** Binds both directions; they divide the rows. */
export function bindCrossEntropy(host: KernelHost): CrossEntropyKernels {
  const crossEntropy = host.kernel('softmaxCrossEntropy');
  const crossEntropyBackward = host.kernel('softmaxCrossEntropyBackward');
  const firstWrongLabel = host.kernel('firstWrongLabel');
  /** A label outside the classes would read or write another row, so it is refused before the kernel runs. */
  const checkLabels = (labels: number, rows: number, classes: number): void => {
    host.checkRange('softmaxCrossEntropy labels', labels, rows);
    const row = firstWrongLabel(labels, rows, classes);
    if (row === rows) return;
    const label = new DataView(host.memory.buffer).getInt32(labels + row * F32_BYTES, true);
    throw new RangeError(
      `softmaxCrossEntropy: label ${label} of row ${row} is not one of the ${classes} classes; use ${IGNORED_LABEL} to ignore a row`,
    );
  };
  return {
    softmaxCrossEntropy({ logits, labels, loss, rows, classes }) {
      host.checkMatrix('softmaxCrossEntropy', { logits }, rows, classes);
      host.checkRange('softmaxCrossEntropy loss', loss, rows);
      checkLabels(labels, rows, classes);
      divideRows(host, crossEntropy, { rows, columns: classes, grain: GRAIN }, (at, first, size) => {
        const row = first * F32_BYTES;
        return [loss + row, logits + at, labels + row, size, classes];
      });
    },
    softmaxCrossEntropyBackward({ logits, labels, dloss, dlogits, rows, classes }) {
      host.checkMatrix('softmaxCrossEntropyBackward', { logits, dlogits }, rows, classes);
      host.checkRange('softmaxCrossEntropyBackward dloss', dloss, rows);
      checkLabels(labels, rows, classes);
      divideRows(host, crossEntropyBackward, { rows, columns: classes, grain: GRAIN }, (at, first, size) => {
        const row = first * F32_BYTES;
        return [dlogits + at, logits + at, labels + row, dloss + row, size, classes];
      });
    },
  };
}
