/**
 * The product with a linear layer's weight the other way round: y = x·W, the gradient of `linear` to its input.
 *
 * x [..., out], W [out, in] → y [..., in]. W is f32, f16 or bf16; arithmetic is f32, so a kernel can widen the weight while
 * it reads it and no dense f32 copy of a low-precision weight is made.
 * Backward: dx = dy·Wᵀ,  dW = xᵀ·dy, rounded to the dtype of W.
 */
import { isFloat } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type Op, applyOne, requireF32 } from '../op.js';
import { cast } from '../ops/cast.js';
import type { NoAttributes } from '../ops/elementwise.js';
import { matmul } from '../ops/matmul.js';
import { reshape } from '../ops/reshape.js';
import { quantizedLinearTransposed } from '../quantize/quantized-linear.js';
import { type Weight, isQuantized } from '../quantize/quantized-tensor.js';
import { combineRows, rowReader } from '../quantize/weight-loops.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { linear, rowsAsMatrix } from './linear.js';
import { splitLinear } from './linear-split.js';

/** x·W in f32, whatever the weight is stored in. */
function multiply(x: Tensor, weight: Tensor): Tensor {
  const y = matmul(rowsAsMatrix(x), cast(weight, 'f32'));
  return reshape(y, [...x.shape.slice(0, -1), weight.shape[1]!]);
}

export const linearTransposedOp: Op<NoAttributes> = {
  name: 'linearTransposed',
  infer([x, weight]) {
    if (weight!.shape.length !== 2 || !isFloat(weight!.dtype) || x!.shape.at(-1) !== weight!.shape[0])
      throw new ShapeError(
        `linearTransposed: x ${formatShape(x!.shape)} does not fit weight ${weight!.dtype}${formatShape(weight!.shape)}; the weight is f32, f16 or bf16 [out, in] and x [..., out]`,
      );
    requireF32('linearTransposed', [x]);
    return [{ shape: [...x!.shape.slice(0, -1), weight!.shape[1]!], dtype: 'f32' }];
  },
  decompose: ([x, weight]) => [multiply(x!, weight!)],
  reference({ inputs: [x, weight], outputs: [y] }) {
    combineRows(x!, rowReader([weight!], null), weight!.shape as [number, number], y!);
  },
  vjp: ({ inputs: [x, weight], cotangents: [dy], needed }) => [
    needed[0] ? linear(dy!, weight!) : undefined,
    needed[1] ? cast(matmul(rowsAsMatrix(x!), rowsAsMatrix(dy!), { transposeA: true }), weight!.dtype) : undefined,
  ],
  flops: ([x, weight]) => 2 * sizeOf(x!.shape.slice(0, -1)) * weight!.shape[0]! * weight!.shape[1]!,
  splitRows: ([x, weight], _attributes, input, boundaries) => [
    splitLinear({ x: x!, weight: weight!, transposed: true, splitsX: input === 0, boundaries }),
  ],
};

/** y = x·W for a weight in any storage. An f32 weight needs no op of its own: `matmul` reads it as it lies. */
export function linearTransposed(x: Tensor, weight: Weight): Tensor {
  if (isQuantized(weight)) return quantizedLinearTransposed(x, weight);
  return weight.dtype === 'f32' ? multiply(x, weight) : applyOne(linearTransposedOp, [x, weight], {});
}
