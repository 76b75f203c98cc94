/** Ops along the last axis: norms, softmax, cross entropy, rotary embedding. */
import { type BackwardAttributes, type KernelRow, type KernelRows, columnsOf, rowsOf } from '../kernel-row.js';

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
  scratchBytes: ({ kernels, inputs: [x] }) => kernels.rmsNormBackwardScratchBytes(rowsOf(x!), columnsOf(x!)),
  run({ kernels, inputs: [x, weight, , rstd, dy], outputs: [dx, dweight], scratch }) {
    const [rows, columns] = [rowsOf(x!), columnsOf(x!)];
    kernels.rmsNormBackward({
      x: x!.pointer,
      weight: weight!.pointer,
      rstd: rstd!.pointer,
      dy: dy!.pointer,
      dx: dx!.pointer,
      dweight: { pointer: dweight!.pointer, scratch: scratch(kernels.rmsNormBackwardScratchBytes(rows, columns)) },
      rows,
      columns,
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

/** Inputs x, weight, bias, y and dy. */
const layerNormBackward: KernelRow<BackwardAttributes<NormAttributes>> = {
  scratchBytes: ({ kernels, inputs: [x] }) => kernels.layerNormBackwardScratchBytes(rowsOf(x!), columnsOf(x!)),
  run({ kernels, inputs: [x, weight, , , dy], outputs: [dx, dweight, dbias], attributes: { forward }, scratch }) {
    const [rows, columns] = [rowsOf(x!), columnsOf(x!)];
    kernels.layerNormBackward({
      x: x!.pointer,
      weight: weight!.pointer,
      dy: dy!.pointer,
      dx: dx!.pointer,
      dweight: dweight!.pointer,
      dbias: dbias!.pointer,
      rows,
      columns,
      epsilon: forward.epsilon,
      scratch: scratch(kernels.layerNormBackwardScratchBytes(rows, columns)),
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
    const [entries, heads, rows, width] = x!.shape as [number, number, number, number];
    const pointers = { x: x!.pointer, y: y!.pointer, cos: cos!.pointer, sin: sin!.pointer };
    // One table for all entries makes their heads the heads of one entry.
    const batch = cos!.shape[0] === 1 ? 1 : entries;
    kernels.rope({ ...pointers, batch, heads: (entries * heads) / Math.max(1, batch), rows, width });
  },
};

export const rowRows: KernelRows = {
  rmsNorm: rmsNorm as KernelRow,
  rmsNormBackward: rmsNormBackward as KernelRow,
  layerNorm: layerNorm as KernelRow,
  layerNormBackward: layerNormBackward as KernelRow,
  softmax,
  softmaxBackward,
  softmaxCrossEntropy,
  softmaxCrossEntropyBackward,
  rope,
};
