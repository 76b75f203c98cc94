/**
 * Strided views of dense arrays: where, in each operand, the element of a given row-major number lies.
 *
 *   offset_k(i) = base_k + Σ_axis index_axis(i) · stride_k,axis
 *
 * Axes of size 1 are dropped and neighbours that every operand walks without a jump are merged, so most views have one or two
 * axes, and applications of many shapes share a shader.
 */
import { sizeOf } from '@mindseye/tensor-core';
import type { Uniforms } from './uniforms.js';

export interface View {
  readonly shape: readonly number[];
  /** One list of strides per operand, in elements; 0 repeats. */
  readonly strides: readonly (readonly number[])[];
}

/** Row-major strides. */
export function denseStrides(shape: readonly number[]): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** Strides that read an array of shape `from` as if it had the broadcast shape `to`. */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const strides = denseStrides(from);
  const missing = to.length - from.length;
  return to.map((_, axis) => (axis < missing || from[axis - missing] === 1 ? 0 : strides[axis - missing]!));
}

/** The same walk over fewer axes. */
export function collapse({ shape, strides }: View): View {
  const merged: { size: number; steps: number[] }[] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const steps = strides.map((list) => list[axis]!);
    const last = merged.at(-1);
    if (last && steps.every((step, k) => last.steps[k] === step * size)) {
      last.size *= size;
      last.steps = steps;
    } else merged.push({ size, steps });
  });
  return {
    shape: merged.map(({ size }) => size),
    strides: strides.map((_, k) => merged.map(({ steps }) => steps[k]!)),
  };
}

/**
 * Statements that declare `names[k]`, the offset in operand k of the element numbered `index`.
 *
 * @param bases element 0 of each operand; 0 when left out.
 */
export function offsetCode(
  uniforms: Uniforms,
  index: string,
  view: View,
  names: readonly string[],
  bases: readonly number[] = [],
): string {
  const { shape, strides } = collapse(view);
  const isLinear = (k: number): boolean => shape.length === 0 || (shape.length === 1 && strides[k]![0] === 1);
  const isRepeated = (k: number): boolean => strides[k]!.every((stride) => stride === 0);
  const lines: string[] = [];
  if (names.some((_, k) => !isLinear(k) && !isRepeated(k))) {
    let rest = index;
    for (let axis = shape.length - 1; axis > 0; axis--) {
      const size = uniforms.u32(shape[axis]!);
      lines.push(`let ${names[0]}_${axis} = ${rest} % ${size};`, `let ${names[0]}_rest${axis} = ${rest} / ${size};`);
      rest = `${names[0]}_rest${axis}`;
    }
    lines.push(`let ${names[0]}_0 = ${rest};`);
  }
  names.forEach((name, k) => {
    const terms = isRepeated(k)
      ? ['0u']
      : isLinear(k)
        ? [index]
        : shape.map((_, axis) => `${names[0]}_${axis} * ${uniforms.u32(strides[k]![axis]!)}`);
    if (bases[k]) terms.unshift(uniforms.u32(bases[k]));
    lines.push(`let ${name} = ${terms.join(' + ')};`);
  });
  return lines.map((line) => `  ${line}`).join('\n');
}
