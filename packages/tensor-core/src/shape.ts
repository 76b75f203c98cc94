/**
 * Shape arithmetic on row-major ("C order") dense arrays: sizes, strides and NumPy broadcasting.
 *
 * stride[i] = product of the sizes after axis i. Two shapes broadcast when, aligned at their last axes, each pair of
 * sizes is equal or one of them is 1.
 */
import { ShapeError } from './errors.js';

export type Shape = readonly number[];

/** Number of elements; 1 for the scalar shape `[]`. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const length of shape) size *= length;
  return size;
}

export function stridesOf(shape: Shape): number[] {
  const strides = Array.from<number>({ length: shape.length });
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`;

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, i) => size === b[i]);

/** Throws unless every size is a whole number from 0 to 2^31 - 1 and the product stays an exact integer. */
export function checkShape(shape: Shape, what: string): void {
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 0 || size > 0x7fffffff) {
      throw new ShapeError(
        `${what}: shape ${formatShape(shape)} holds ${size}; sizes are whole numbers from 0 to 2^31 - 1`,
      );
    }
  }
  if (sizeOf(shape) > Number.MAX_SAFE_INTEGER)
    throw new ShapeError(`${what}: shape ${formatShape(shape)} has too many elements`);
}

/** `axis` counted from the front, for a tensor of `rank` axes; negative axes count from the back. */
export function normalizeAxis(axis: number, rank: number, what: string): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || positive < 0 || positive >= rank) {
    throw new ShapeError(`${what}: axis ${axis} does not exist in a tensor of ${rank} axes`);
  }
  return positive;
}

/** Sorted, distinct, non-negative axes. `undefined` means all of them. */
export function normalizeAxes(axes: number | readonly number[] | undefined, rank: number, what: string): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = typeof axes === 'number' ? [axes] : axes;
  return [...new Set(list.map((axis) => normalizeAxis(axis, rank, what)))].sort((a, b) => a - b);
}

/** The common shape of two broadcast operands. */
export function broadcastShapes(a: Shape, b: Shape, what: string): number[] {
  const rank = Math.max(a.length, b.length);
  const result = Array.from<number>({ length: rank });
  for (let i = 1; i <= rank; i++) {
    const left = a[a.length - i] ?? 1;
    const right = b[b.length - i] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError(
        `${what}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast (${left} against ${right}); reshape one of them`,
      );
    }
    result[rank - i] = left === 1 ? right : left;
  }
  return result;
}

/** Strides that read an array of shape `from` as if it had the broadcast shape `to`: 0 along stretched axes. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const strides = stridesOf(from);
  return to.map((_, axis) => {
    const own = axis - (to.length - from.length);
    return own < 0 || from[own] === 1 ? 0 : strides[own]!;
  });
}

/** The axes of `to` that an operand of shape `from` was stretched along; its gradient is summed over them. */
export function broadcastAxes(from: Shape, to: Shape): number[] {
  const offset = to.length - from.length;
  return to.map((_, axis) => axis).filter((axis) => axis < offset || (from[axis - offset] === 1 && to[axis] !== 1));
}

/** `shape` without `axes`, or with size 1 there when `keepDimensions`. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDimensions: boolean): number[] {
  const gone = new Set(axes);
  return keepDimensions
    ? shape.map((size, axis) => (gone.has(axis) ? 1 : size))
    : shape.filter((_, axis) => !gone.has(axis));
}
