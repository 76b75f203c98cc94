/**
 * The f32 matrix that codes and scales stand for (see `format.ts`).
 *
 * codes u32 [rows, words], scales [rows, groups], offsets [rows, groups] or none → w f32 [rows, columns].
 * Backward: dscale = Σ_group dw∘(code − zero), doffset = Σ_group dw, in the dtype of the scales; codes have none.
 */
import { type Op, applyOne } from '../op.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import { concat } from '../ops/concat.js';
import { mul } from '../ops/mul.js';
import { pad } from '../ops/pad.js';
import { reshape } from '../ops/reshape.js';
import { slice } from '../ops/slice.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import type { Tensor } from '../tensor.js';
import { type QuantizationFormat, checkOperands, codesPerWord, groupsPerRow, symmetricZero } from './format.js';
import { unpackCodes } from './pack.js';
import {
  type QuantizedTensor,
  checkQuantized,
  cutRows,
  formatOf,
  fromOperands,
  operandsOf,
} from './quantized-tensor.js';
import { rowReader } from './weight-loops.js';

/** code − zero as f32 [rows, groups, groupSize], whole groups. */
function centredCodes(codes: Tensor, { bits, groupSize, symmetric, columns }: QuantizationFormat): Tensor {
  const [rows, words] = codes.shape as [number, number];
  const groups = groupsPerRow({ groupSize, columns });
  const padded = pad(codes, [0, 0], [0, (groups * groupSize) / codesPerWord(bits) - words]);
  const grouped = reshape(cast(unpackCodes(padded, bits), 'f32'), [rows, groups, groupSize]);
  return symmetric ? sub(grouped, symmetricZero(bits)) : grouped;
}

/** Cotangents of scales and offsets from that of the matrix. */
export function scaleGradients(
  dw: Tensor,
  { codes, scales, offsets }: QuantizedTensor,
  format: QuantizationFormat,
): Tensor[] {
  const [rows, groups] = scales.shape as [number, number];
  const padded = pad(dw, [0, 0], [0, groups * format.groupSize - format.columns]);
  const grouped = reshape(padded, [rows, groups, format.groupSize]);
  const dScales = sum(mul(grouped, centredCodes(codes, format)), 2);
  return [dScales, ...(offsets ? [sum(grouped, 2)] : [])].map((gradient) => cast(gradient, scales.dtype));
}

export const dequantizeOp: Op<QuantizationFormat> = {
  name: 'dequantize',
  infer(operands, format) {
    return [{ shape: [checkOperands('dequantize', operands, format), format.columns], dtype: 'f32' }];
  },
  decompose([codes, scales, offsets], format) {
    const [rows, groups] = scales!.shape as [number, number];
    const perGroup = (value: Tensor): Tensor => reshape(cast(value, 'f32'), [rows, groups, 1]);
    const scaled = mul(centredCodes(codes!, format), perGroup(scales!));
    const grouped = offsets ? add(scaled, perGroup(offsets)) : scaled;
    return [slice(reshape(grouped, [rows, groups * format.groupSize]), 1, 0, format.columns)];
  },
  reference({ inputs, outputs: [w], attributes: format }) {
    const readRow = rowReader(inputs, format);
    const row = new Float64Array(format.columns);
    for (let i = 0; i < w!.shape[0]!; i++) {
      readRow(i, row);
      w!.data.set(row, i * format.columns);
    }
  },
  vjp({ inputs, cotangents: [dw], attributes: format, needed }) {
    if (!needed.slice(1).some(Boolean)) return [];
    return [undefined, ...scaleGradients(dw!, fromOperands(inputs, format), format)];
  },
  flops: (_inputs, [w]) => 2 * w!.shape[0]! * w!.shape[1]!,
  splitRows(inputs, format, _input, boundaries) {
    const pieces = cutRows(fromOperands(inputs, format), boundaries);
    return [
      concat(
        pieces.map(({ piece }) => dequantize(piece)),
        0,
      ),
    ];
  },
};

/**
 * The matrix f32 [rows, columns] that a quantised weight stands for.
 *
 * @throws ShapeError where the parts of the weight do not fit each other.
 */
export const dequantize = (weight: QuantizedTensor): Tensor =>
  applyOne(dequantizeOp, operandsOf(checkQuantized(weight, 'dequantize')), formatOf(weight));
