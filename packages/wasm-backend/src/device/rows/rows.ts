/** Ops along the last axis: norms, softmax, cross entropy, rotary embedding. */
import { type BackwardAttributes, type KernelRow, type KernelRows, clear, columnsOf, rowsOf } from '../kernel-row.js';

interface NormAttributes {
  readonly epsilon: number;
}

const rmsNorm: KernelRow<NormAttributes> = {
  run({ kernels, inputs: [x, weight], outputs: [y, rstd], attributes: { epsilon } }) {
    kernels.rmsNorm({
      x: x!.pointer,
      weight: weight!.pointer,
      y: y!.pointer,
      rstd: rstd!.pointer,
      rows: rowsOf(x!),
      columns: columnsOf(x!),
      epsilon,
    });
  },
};

/** Inputs x, weight, y, rstd and dy. */
const rmsNormBackward: KernelRow<BackwardAttributes<NormAttributes>> = {
  run({ kernels, inputs: [x, weight, , rstd, dy], outputs: [dx, dweight] }) {
    clear(kernels.memory, dweight!);
    kernels.rmsNormBackward({
      x: x!.pointer,
      weight: weight!.pointer,
      rstd: rstd!.pointer,
      dy: dy!.pointer,
      dx: dx!.pointer,
      dweight: dweight!.pointer,
      rows: rowsOf(x!),
      columns: columnsOf(x!),
    });
  },
};

const layerNorm: KernelRow<NormAttributes> = {
  run({ kernels, inputs: [x, weight, bias], outputs: [y], attributes: { epsilon } }) {
    kernels.layerNorm({
      x: x!.pointer,
      weight: weight!.pointer,
      bias: bias!.pointer,
      y: y!.pointer,
      rows: rowsOf(x!),
      columns: columnsOf(x!),
      epsilon,
    });
  },
};

const softmax: KernelRow = {
  run({ kernels, inputs: [x], outputs: [y] }) {
    kernels.softmax(y!.pointer, x!.pointer, rowsOf(x!), columnsOf(x!));
  },
};

/** Inputs x, y and dy. */
const softmaxBackward: KernelRow = {
  run({ kernels, inputs: [, y, dy], outputs: [dx] }) {
    kernels.softmaxBackward(dx!.pointer, y!.pointer, dy!.pointer, rowsOf(y!), columnsOf(y!));
  },
};

const softmaxCrossEntropy: KernelRow = {
  run({ kernels, inputs: [logits, labels], outputs: [loss] }) {
    kernels.softmaxCrossEntropy({
      logits: logits!.pointer,
      labels: labels!.pointer,
      loss: loss!.pointer,
      rows: rowsOf(logits!),
      classes: columnsOf(logits!),
    });
  },
};

/** Inputs logits, labels, loss and dloss. */
const softmaxCrossEntropyBackward: KernelRow = {
  run({ kernels, inputs: [logits, labels, , dloss], outputs: [dlogits] }) {
    kernels.softmaxCrossEntropyBackward({
      logits: logits!.pointer,
      labels: labels!.pointer,
      dloss: dloss!.pointer,
      dlogits: dlogits!.pointer,
      rows: rowsOf(logits!),
      classes: columnsOf(logits!),
    });
  },
};

const rope: KernelRow = {
  run({ kernels, inputs: [x, cos, sin], outputs: [y] }) {
    const [batch, heads, rows, width] = x!.shape as [number, number, number, number];
    const [entry, table] = [4 * heads * rows * width, cos!.shape[0] === 1 ? 0 : 2 * rows * width];
    for (let b = 0; b < batch; b++) {
      kernels.rope({
        x: x!.pointer + b * entry,
        y: y!.pointer + b * entry,
        cos: cos!.pointer + b * table,
        sin: sin!.pointer + b * table,
        heads,
        rows,
        width,
      });
    }
  },
};

export const rowRows: KernelRows = {
  rmsNorm: rmsNorm as KernelRow,
  rmsNormBackward: rmsNormBackward as KernelRow,
  layerNorm: layerNorm as KernelRow,
  softmax,
  softmaxBackward,
  softmaxCrossEntropy,
  softmaxCrossEntropyBackward,
  rope,
};
