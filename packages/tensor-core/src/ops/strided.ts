/** Walks a strided view of a dense array in row-major order; the loop behind permute, slice, pad and broadcastTo. */

/** Calls `visit(i, offset)` for the i-th element of a view of `shape`, where offset = start + Σ index·stride. */
export function forEachStrided(
  shape: readonly number[],
  strides: readonly number[],
  start: number,
  visit: (index: number, offset: number) => void,
): void {
  let total = 1;
  for (const size of shape) total *= size;
  const position = shape.map(() => 0);
  let offset = start;
  for (let i = 0; i < total; i++) {
    visit(i, offset);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis]!;
      if (++position[axis]! < shape[axis]!) break;
      offset -= strides[axis]! * shape[axis]!;
      position[axis] = 0;
    }
  }
}
