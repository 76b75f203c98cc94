/**
 * Bilinear interpolation of a square table of learned positions, with the corners aligned (Qwen3-VL's patch positions).
 *
 * Place i of an axis of `length` places lies at s = i·(side − 1)/(length − 1) of the table's axis (0 when length is 1), between
 * the rows ⌊s⌋ and min(⌊s⌋ + 1, side − 1) with weights 1 − (s − ⌊s⌋) and s − ⌊s⌋. Two axes multiply: four taps per place.
 * s is rounded to f32, as transformers computes it (`get_vision_interpolation_indices_and_weights`).
 */
import { mul } from '../ops/mul.js';
import { gather } from '../ops/gather.js';
import { misfit } from '../ops/operands.js';
import { sum } from '../ops/sum.js';
import { sameShape } from '../shape.js';
import { type Tensor, tensor } from '../tensor.js';
import { expandDims } from './axes.js';

interface AxisTap {
  readonly row: number;
  readonly weight: number;
}

/** The two taps of place `index` on one axis. */
function axisTaps(index: number, length: number, side: number): readonly [AxisTap, AxisTap] {
  const at = Math.fround(Math.fround(index * (side - 1)) / Math.max(length - 1, 1));
  const below = Math.floor(at);
  const part = Math.fround(at - below);
  return [
    { row: below, weight: Math.fround(1 - part) },
    { row: Math.min(below + 1, side - 1), weight: Math.fround(1 - Math.fround(1 - part)) },
  ];
}

export interface InterpolationTaps {
  /** i32 [4, height · width]: rows of the flattened table. */
  readonly indices: Tensor;
  /** f32 [4, height · width]; the four of a place add up to 1. */
  readonly weights: Tensor;
}

/**
 * Taps for a grid of height × width places into a table [side · side, …].
 *
 * @param merge places come in blocks of merge × merge, block by block and row by row inside; 1 (the default) is row by row.
 * @throws RangeError when the grid does not divide into such blocks.
 */
export function bilinearTaps(height: number, width: number, side: number, merge = 1): InterpolationTaps {
  if (height % merge !== 0 || width % merge !== 0)
    throw new RangeError(`bilinearTaps: a grid of ${height} by ${width} does not divide into blocks of ${merge}`);
  const count = height * width;
  const indices = new Int32Array(4 * count);
  const weights = new Float32Array(4 * count);
  for (let place = 0; place < count; place++) {
    const [block, inside] = [Math.floor(place / (merge * merge)), place % (merge * merge)];
    const [row, column] = [Math.floor((block * merge) / width), block % (width / merge)];
    const vertical = axisTaps(row * merge + Math.floor(inside / merge), height, side);
    const horizontal = axisTaps(column * merge + (inside % merge), width, side);
    for (let tap = 0; tap < 4; tap++) {
      const [v, h] = [vertical[tap >> 1]!, horizontal[tap & 1]!];
      indices[tap * count + place] = v.row * side + h.row;
      weights[tap * count + place] = v.weight * h.weight;
    }
  }
  return { indices: tensor(indices, [4, count]), weights: tensor(weights, [4, count]) };
}

/** Weighted sums of rows of a table: table f32 [rows, …row], indices i32 and weights f32 [taps, n] → [n, …row]. */
export function interpolateRows(table: Tensor, { indices, weights }: InterpolationTaps): Tensor {
  if (table.rank === 0 || indices.rank !== 2 || !sameShape(indices.shape, weights.shape))
    throw misfit(
      'interpolateRows',
      { table, indices, weights },
      'the table is f32 [rows, ...row], indices are i32 and weights f32 [taps, n]',
    );
  const row = table.shape.slice(1).map((_, axis) => 2 + axis);
  return sum(mul(gather(table, indices), expandDims(weights, row)), 0);
}
