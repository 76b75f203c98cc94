/**
 * Products with a quantised weight, which is never made dense.
 *
 *   y = x·Wᵀ + b   x [..., columns] → y [..., rows]       (a linear layer)
 *   y = x·W        x [..., rows]    → y [..., columns]    (`transposed`: the gradient of one to its input)
 *
 * W [rows, columns] as codes, scales and offsets (see `format.ts`), b [rows] or none, x and y f32.
 * Backward: dx is the other product of dy, db = Σ_rows dy; scales and offsets get theirs through dW, codes have none.
 */
import { ShapeError } from '../errors.js';
import { linear, rowsAsMatrix } from '../fused/linear.js';
import { splitLinear } from '../fused/linear-split.js';
import { type Op, applyOne, requireF32 } from '../op.js';
import { matmul } from '../ops/matmul.js';
import { reshape } from '../ops/reshape.js';
import { sum } from '../ops/sum.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import { dequantize, scaleGradients } from './dequantize.js';
import { type QuantizationFormat, checkOperands, operandCount } from './format.js';
import { type QuantizedTensor, formatOf, fromOperands, operandsOf } from './quantized-tensor.js';
import { combineRows, multiplyByRows, rowReader } from './weight-loops.js';

export interface QuantizedLinearAttributes {
  readonly format: QuantizationFormat;
  /** y = x·W instead of x·Wᵀ. */
  readonly transposed: boolean;
}

interface Operands<T> {
  readonly x: T;
  readonly weight: readonly T[];
  readonly bias: T | undefined;
}

/** The operands of one application by what they are: x, codes, scales, offsets where there are zero points, bias. */
function separate<T>(inputs: readonly T[], format: QuantizationFormat): Operands<T> {
  const end = 1 + operandCount(format);
  return { x: inputs[0]!, weight: inputs.slice(1, end), bias: inputs[end] };
}

export const quantizedLinearOp: Op<QuantizedLinearAttributes> = {
  name: 'quantizedLinear',
  infer(inputs, { format, transposed }) {
    const { x, weight, bias } = separate<TensorSpec>(inputs, format);
    const rows = checkOperands('quantizedLinear', weight, format);
    const [from, to] = transposed ? [rows, format.columns] : [format.columns, rows];
    if (x.shape.at(-1) !== from || (bias && (transposed || formatShape(bias.shape) !== formatShape([rows]))))
      throw new ShapeError(
        `quantizedLinear: x ${formatShape(x.shape)}${bias ? ` and bias ${formatShape(bias.shape)}` : ''} do not fit the weight [${rows}, ${format.columns}]${transposed ? ' transposed' : ''}`,
      );
    requireF32('quantizedLinear', [x, bias]);
    return [{ shape: [...x.shape.slice(0, -1), to], dtype: 'f32' }];
  },
  decompose(inputs, { format, transposed }) {
    const { x, weight, bias } = separate(inputs, format);
    const dense = dequantize(fromOperands(weight, format));
    if (!transposed) return [linear(x, dense, bias)];
    return [reshape(matmul(rowsAsMatrix(x), dense), [...x.shape.slice(0, -1), format.columns])];
  },
  reference({ inputs, outputs: [y], attributes: { format, transposed } }) {
    const { x, weight, bias } = separate(inputs, format);
    const size = [weight[0]!.shape[0]!, format.columns] as const;
    const readRow = rowReader(weight, format);
    if (transposed) combineRows(x, readRow, size, y!);
    else multiplyByRows(x, readRow, size, bias, y!);
  },
  vjp({ inputs, cotangents: [dy], attributes: { format, transposed }, needed }) {
    const { x, weight, bias } = separate(inputs, format);
    const quantized = fromOperands(weight, format);
    const dx = needed[0] ? product(dy!, quantized, !transposed) : undefined;
    const db = bias ? [sum(rowsAsMatrix(dy!), 0)] : [];
    if (!needed.slice(2, 1 + weight.length).some(Boolean)) return [dx, ...weight.map(() => undefined), ...db];
    const [left, right] = transposed ? [x, dy!] : [dy!, x];
    const dw = matmul(rowsAsMatrix(left), rowsAsMatrix(right), { transposeA: true });
    return [dx, undefined, ...scaleGradients(dw, quantized, format), ...db];
  },
  flops: ([x, codes], _outputs, { format }) => 2 * sizeOf(x!.shape.slice(0, -1)) * codes!.shape[0]! * format.columns,
  splitRows(inputs, { format, transposed }, input, boundaries) {
    const { x, weight, bias } = separate(inputs, format);
    return [
      splitLinear({ x, weight: fromOperands(weight, format), bias, transposed, splitsX: input === 0, boundaries }),
    ];
  },
};

function product(x: Tensor, weight: QuantizedTensor, transposed: boolean, bias?: Tensor): Tensor {
  const operands = [x, ...operandsOf(weight), ...(bias ? [bias] : [])];
  return applyOne(quantizedLinearOp, operands, { format: formatOf(weight), transposed });
}

/** y = x·Wᵀ + b with a quantised W [rows, columns]: what `linear` becomes for such a weight. */
export const quantizedLinear = (x: Tensor, weight: QuantizedTensor, bias?: Tensor): Tensor =>
  product(x, weight, false, bias);

/** y = x·W with a quantised W [rows, columns]: [..., rows] → [..., columns]. */
export const quantizedLinearTransposed = (x: Tensor, weight: QuantizedTensor): Tensor => product(x, weight, true);
