/**
 * Rounding a matrix to codes of a few bits, as graph.
 *
 * Per group of a row, with s' and o' the scale and offset as their dtype holds them:
 *
 *   symmetric          s = max|w| / (2^(bits−1) − 1),      code = round(w / s') + 2^(bits−1)
 *   with zero points   s = (max w − min w) / (2^bits − 1),  o = min w,   code = round((w − o') / s')
 *
 * clamped to 0 … 2^bits − 1. The codes are chosen for the rounded s' and o', so that rounding those costs nothing but at
 * the ends of the range:
 *
 *   |w − dequantized| ≤ s'·(½ + 2⁻¹⁵) + (2^bits − 1)·|s − s'| + |o − o'| + 2⁻²²·max|w|
 *
 * where 2⁻¹⁵ and the last term cover f32 arithmetic. A group of one repeated number has s = 0 with zero points, and is then as
 * exact as its offset. A group with a NaN, an infinity, or numbers too large for the dtype of the scales decodes to no
 * finite number anywhere: damage stays visible.
 *
 * Memory while it runs: up to three f32 matrices of the weight's size. Quantise large weights in slices of rows.
 */
import { isFloat } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { abs } from '../ops/abs.js';
import { add } from '../ops/add.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { cast } from '../ops/cast.js';
import { equal, greater } from '../ops/compare.js';
import { concat } from '../ops/concat.js';
import { div } from '../ops/div.js';
import { floor } from '../ops/floor.js';
import { max } from '../ops/max.js';
import { minimum } from '../ops/minimum.js';
import { neg } from '../ops/neg.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import { slice } from '../ops/slice.js';
import { sub } from '../ops/sub.js';
import { formatShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import {
  type QuantizationBits,
  type QuantizationGroupSize,
  checkBitsAndGroup,
  groupsPerRow,
  largestCode,
  symmetricZero,
} from './format.js';
import { packCodes } from './pack.js';
import type { QuantizedTensor } from './quantized-tensor.js';

export type ScaleDType = 'f32' | 'f16' | 'bf16';

export interface QuantizeOptions {
  readonly bits: QuantizationBits;
  /** Columns that share a scale; 64 when left out. */
  readonly groupSize?: QuantizationGroupSize;
  /** Without offsets; true when left out. */
  readonly symmetric?: boolean;
  /** dtype of scales and offsets; f16 when left out. It holds groups up to 65504 times 7 (4 bits) or 127 (8 bits). */
  readonly scaleDtype?: ScaleDType;
}

/** Columns behind the last one repeat it: they complete the last group and change neither its largest nor its lowest. */
function completed(weight: Tensor, columns: number): Tensor {
  const [rows, width] = weight.shape as [number, number];
  if (width === columns) return weight;
  return concat([weight, broadcastTo(slice(weight, 1, width - 1, width), [rows, columns - width])], 1);
}

/**
 * `weight` f32, f16 or bf16 [rows, columns] in codes of 4 or 8 bits. No gradient: quantised weights are frozen.
 *
 * @throws ShapeError for anything but a float matrix, and for bits and group sizes that do not exist.
 */
export function quantize(
  weight: Tensor,
  { bits, groupSize = 64, symmetric = true, scaleDtype = 'f16' }: QuantizeOptions,
): QuantizedTensor {
  checkBitsAndGroup('quantize', bits, groupSize);
  if (weight.rank !== 2 || !isFloat(weight.dtype))
    throw new ShapeError(
      `quantize takes an f32, f16 or bf16 matrix [rows, columns], got ${weight.dtype}${formatShape(weight.shape)}`,
    );
  const [rows, columns] = weight.shape as [number, number];
  const groups = groupsPerRow({ groupSize, columns });
  const grouped = reshape(completed(cast(weight, 'f32'), groups * groupSize), [rows, groups, groupSize]);
  const stored = (value: Tensor): Tensor => cast(reshape(value, [rows, groups]), scaleDtype);
  const asUsed = (value: Tensor): Tensor => reshape(cast(value, 'f32'), [rows, groups, 1]);

  const top = largestCode(bits);
  const zero = symmetric ? symmetricZero(bits) : 0;
  const high = max(symmetric ? abs(grouped) : grouped, -1, true);
  const low = symmetric ? undefined : neg(max(neg(grouped), -1, true));
  // Divided before they are subtracted: the difference of two finite numbers may not be finite.
  const scales = stored(low ? sub(div(high, top), div(low, top)) : div(high, zero - 1));
  const offsets = low && stored(low);
  const scale = asUsed(scales);
  const steps = div(offsets ? sub(grouped, asUsed(offsets)) : grouped, select(equal(scale, 0), 1, scale));
  const rounded = floor(add(steps, zero + 0.5));
  // Written so that NaN becomes 0: its conversion to a whole number means nothing.
  const codes = select(greater(rounded, 0), minimum(rounded, top), 0);
  const rowsOfCodes = slice(reshape(cast(codes, 'u32'), [rows, groups * groupSize]), 1, 0, columns);
  return { codes: packCodes(rowsOfCodes, bits), scales, ...(offsets && { offsets }), bits, groupSize, columns };
}
