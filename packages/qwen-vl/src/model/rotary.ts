/**
 * Rotary tables. angle_j = position · θ^(−2j/D) for j = 0 … D/2 − 1, computed in f32 steps as the reference does.
 *
 * Language (mRoPE, chunked): frequency j reads the time, height or width position by the section it lies in.
 * Vision (2-D): the first half of the frequencies reads the patch row, the second half the patch column.
 */
import type { Qwen2_5_VLTextConfig } from '../config/types.js';

export interface RotaryTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** θ^(−2j/width) for j = 0 … width/2 − 1, each rounded to f32. */
export function inverseFrequencies(width: number, theta: number): Float32Array {
  return Float32Array.from({ length: width / 2 }, (_, j) => 1 / Math.fround(theta ** ((2 * j) / width)));
}

/** cos and sin of `count` rows of `width` angles. */
function tables(count: number, width: number, angle: (row: number, j: number) => number): RotaryTables {
  const cos = new Float32Array(count * width);
  const sin = new Float32Array(count * width);
  for (let row = 0; row < count; row++) {
    for (let j = 0; j < width; j++) {
      const radians = Math.fround(angle(row, j));
      cos[row * width + j] = Math.cos(radians);
      sin[row * width + j] = Math.sin(radians);
    }
  }
  return { cos, sin };
}

/** Tables [length, headDim / 2] for position triples laid out [3, length]. */
export function languageRotary(
  { headDim, ropeTheta, mropeSection }: Qwen2_5_VLTextConfig,
  positions: Int32Array,
): RotaryTables {
  const length = positions.length / 3;
  const frequencies = inverseFrequencies(headDim, ropeTheta);
  const axisOf = mropeSection.flatMap((count, axis) => Array.from({ length: count }, () => axis));
  return tables(length, headDim / 2, (row, j) => positions[axisOf[j]! * length + row]! * frequencies[j]!);
}

/** Tables [patches, headDim / 2] for patch coordinates laid out (row, column) per patch. */
export function visionRotary(headDim: number, coordinates: Int32Array): RotaryTables {
  const frequencies = inverseFrequencies(headDim / 2, 10000);
  const quarter = headDim / 4;
  return tables(coordinates.length / 2, headDim / 2, (patch, j) =>
    j < quarter ? coordinates[2 * patch]! * frequencies[j]! : coordinates[2 * patch + 1]! * frequencies[j - quarter]!,
  );
}
