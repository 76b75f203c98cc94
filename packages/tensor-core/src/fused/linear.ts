/**
 * A linear layer in the layout of torch.nn.Linear: y = x·Wᵀ + b.
 *
 * x [..., in], W [out, in], b [out] or none → y [..., out].
 * Backward: dx = dy·W,  dW = dyᵀ·x,  db = Σ_rows dy; each is its own graph, so a frozen weight costs nothing.
 */
import { ShapeError } from '../errors.js';
import { type Op, applyOne, requireF32 } from '../op.js';
import { add } from '../ops/add.js';
import type { NoAttributes } from '../ops/elementwise.js';
import { matmul } from '../ops/matmul.js';
import { reshape } from '../ops/reshape.js';
import { sum } from '../ops/sum.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';

export const linearOp: Op<NoAttributes> = {
  name: 'linear',
  infer([x, weight, bias]) {
    const [outputs, inputs] = weight!.shape;
    if (
      weight!.shape.length !== 2 ||
      x!.shape.at(-1) !== inputs ||
      (bias && (bias.shape.length !== 1 || bias.shape[0] !== outputs))
    ) {
      const others = `weight ${formatShape(weight!.shape)}${bias ? ` and bias ${formatShape(bias.shape)}` : ''}`;
      throw new ShapeError(`linear: x ${formatShape(x!.shape)} does not fit ${others}; the weight is [out, in]`);
    }
    requireF32('linear', [x, weight, bias]);
    return [{ shape: [...x!.shape.slice(0, -1), outputs!], dtype: 'f32' }];
  },
  decompose([x, weight, bias]) {
    const lead = x!.shape.slice(0, -1);
    const product = matmul(reshape(x!, [sizeOf(lead), x!.shape.at(-1)!]), weight!, { transposeB: true });
    const y = reshape(product, [...lead, weight!.shape[0]!]);
    return [bias ? add(y, bias) : y];
  },
  reference({ inputs: [x, weight, bias], outputs: [y] }) {
    const [outputs, inputs] = weight!.shape as [number, number];
    const rows = sizeOf(x!.shape.slice(0, -1));
    const [from, w, to] = [x!.data, weight!.data, y!.data];
    for (let row = 0; row < rows; row++) {
      for (let out = 0; out < outputs; out++) {
        let total = bias ? bias.data[out]! : 0;
        for (let i = 0; i < inputs; i++) total += from[row * inputs + i]! * w[out * inputs + i]!;
        to[row * outputs + out] = total;
      }
    }
  },
  vjp({ inputs: [x, weight, bias], cotangents: [dy] }) {
    const [outputs, inputs] = weight!.shape as [number, number];
    const rows = sizeOf(x!.shape.slice(0, -1));
    const flatDy = reshape(dy!, [rows, outputs]);
    const dx = reshape(matmul(flatDy, weight!), x!.shape);
    const dw = matmul(flatDy, reshape(x!, [rows, inputs]), { transposeA: true });
    return bias ? [dx, dw, sum(flatDy, 0)] : [dx, dw];
  },
};

export const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor =>
  applyOne(linearOp, bias ? [x, weight, bias] : [x, weight], {});
