/**
 * A linear layer in the layout of torch.nn.Linear: y = x·Wᵀ + b.
 *
 * x [..., in], W [out, in], b [out] or none → y [..., out]. W is f32, f16 or bf16, everything else and all arithmetic f32: a
 * stored weight is widened as it is read. A quantised weight is `quantizedLinear`.
 * Backward: dx = dy·W,  dW = dyᵀ·x (rounded to the dtype of W),  db = Σ_rows dy; each is its own graph and only made where
 * it is needed, so a frozen weight costs nothing.
 */
import { isFloat } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type Op, applyOne, requireF32 } from '../op.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import type { NoAttributes } from '../ops/elementwise.js';
import { matmul } from '../ops/matmul.js';
import { reshape } from '../ops/reshape.js';
import { sum } from '../ops/sum.js';
import { quantizedLinear } from '../quantize/quantized-linear.js';
import { type Weight, isQuantized } from '../quantize/quantized-tensor.js';
import { multiplyByRows, rowReader } from '../quantize/weight-loops.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { splitLinear } from './linear-split.js';
import { linearTransposed } from './linear-transposed.js';

/** x as a matrix of rows of its last axis. */
export const rowsAsMatrix = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);

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
    if (!isFloat(weight!.dtype))
      throw new ShapeError(
        `linear: a weight is f32, f16, bf16 or a QuantizedTensor, got ${weight!.dtype}${formatShape(weight!.shape)}`,
      );
    requireF32('linear', [x, bias]);
    return [{ shape: [...x!.shape.slice(0, -1), outputs!], dtype: 'f32' }];
  },
  decompose([x, weight, bias]) {
    const product = matmul(rowsAsMatrix(x!), cast(weight!, 'f32'), { transposeB: true });
    const y = reshape(product, [...x!.shape.slice(0, -1), weight!.shape[0]!]);
    return [bias ? add(y, bias) : y];
  },
  reference({ inputs: [x, weight, bias], outputs: [y] }) {
    multiplyByRows(x!, rowReader([weight!], null), weight!.shape as [number, number], bias, y!);
  },
  vjp({ inputs: [x, weight, bias], cotangents: [dy], needed }) {
    const rows = rowsAsMatrix(dy!);
    return [
      needed[0] ? linearTransposed(dy!, weight!) : undefined,
      needed[1] ? cast(matmul(rows, rowsAsMatrix(x!), { transposeA: true }), weight!.dtype) : undefined,
      ...(bias ? [needed[2] ? sum(rows, 0) : undefined] : []),
    ];
  },
  flops: ([x, weight]) => 2 * sizeOf(x!.shape.slice(0, -1)) * weight!.shape[0]! * weight!.shape[1]!,
  splitRows: ([x, weight, bias], _attributes, input, boundaries) => [
    splitLinear({ x: x!, weight: weight!, bias, transposed: false, splitsX: input === 0, boundaries }),
  ],
};

/**
 * y = x·Wᵀ + b for a weight in any storage.
 *
 * @param x f32 [..., in].
 * @param weight [out, in]: f32, f16, bf16 or quantised. Gradients reach x through all of them, and the weight itself
 *   unless it is quantised.
 * @param bias f32 [out].
 * @throws ShapeError that names the operands when they do not fit.
 */
export function linear(x: Tensor, weight: Weight, bias?: Tensor): Tensor {
  if (isQuantized(weight)) return quantizedLinear(x, weight, bias);
  return applyOne(linearOp, bias ? [x, weight, bias] : [x, weight], {});
}
