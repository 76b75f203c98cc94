/**
 * Inputs that are larger than one binding of a device.
 *
 * Such a tensor is held in shards: consecutive runs of whole rows (axis 0), each within the limit, all but the last of the
 * same length. Who holds the buffer and who plans agree on the rows because both ask `shardBoundaries`. In a program a shard
 * is a value of its own; ops reach the rows through `slice` along axis 0, which is resolved to shards here.
 */
import { byteSizeOf } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { formatShape, sizeOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

/** Rows are cut at multiples of this, so that every shard (and every chunk of a power of two rows) starts aligned. */
const rowGranularity = 64;

/**
 * The rows at which a tensor is cut, from 0 to the number of rows; undefined when it fits one binding.
 *
 * @throws ShapeError when not even a single row fits.
 */
export function shardBoundaries(spec: TensorSpec, bindingBytes: number = Infinity): readonly number[] | undefined {
  const bytes = sizeOf(spec.shape) * byteSizeOf(spec.dtype);
  if (bytes <= bindingBytes) return undefined;
  const rows = spec.shape[0] ?? 1;
  const fitting = Math.floor(bindingBytes / (bytes / rows));
  if (fitting === 0)
    throw new ShapeError(
      `one row of ${spec.dtype}${formatShape(spec.shape)} takes ${bytes / rows} bytes, a binding of the device holds ${bindingBytes}: reshape it to more rows`,
    );
  const step = fitting >= rowGranularity ? fitting - (fitting % rowGranularity) : fitting;
  const boundaries = [];
  for (let row = 0; row < rows; row += step) boundaries.push(row);
  return [...boundaries, rows];
}

/** A run of rows of a sharded value. */
export interface RowRange {
  readonly shard: number;
  /** Rows counted from the start of the shard. */
  readonly from: number;
  readonly to: number;
}

/** The parts of shards that rows `from` … `to` − 1 lie in; at least one, empty when the range is. */
export function rangesOf(boundaries: readonly number[], from: number, to: number): RowRange[] {
  const ranges: RowRange[] = [];
  for (let shard = 0; shard + 1 < boundaries.length; shard++) {
    const [start, end] = [boundaries[shard]!, boundaries[shard + 1]!];
    const low = Math.max(from, start);
    const high = Math.min(to, end);
    if (low < high) ranges.push({ shard, from: low - start, to: high - start });
  }
  return ranges.length > 0 ? ranges : [{ shard: 0, from: 0, to: 0 }];
}

/** All cuts of several row-aligned tensors. */
export const joinBoundaries = (all: readonly (readonly number[])[]): number[] =>
  [...new Set(all.flat())].sort((a, b) => a - b);
