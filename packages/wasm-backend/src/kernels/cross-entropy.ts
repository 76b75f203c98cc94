/**
 * Cross entropy of softmax(logits) against class labels, per row (torch.nn.functional.cross_entropy, reduction "none").
 *
 *   logits [rows, classes], labels i32 [rows]:  loss = logSumExp(logits) - logit of the label
 *   backward  dlogits = (softmax(logits) - onehot(label)) dloss
 *
 * A label of -100 is ignored: loss 0, gradient 0. `dlogits` may be `logits`.
 */
import { f32, f32x4, i32, memory, v128 } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachRow } from './rows.js';
import { emitExponentials, emitRowLogSumExp, emitRowMaximum } from './softmax-rows.js';
import { forEachVector } from './vector-loop.js';

const UNROLL = 4;

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
}

function emitForward({ module, arithmetic }: KernelContext): void {
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

/** Binds both directions. */
export function bindCrossEntropy(host: KernelHost): CrossEntropyKernels {
  const crossEntropy = host.kernel('softmaxCrossEntropy');
  const crossEntropyBackward = host.kernel('softmaxCrossEntropyBackward');
  return {
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
