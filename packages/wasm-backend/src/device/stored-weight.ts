/**
 * Weight matrices [rows, columns] in any storage, read in chunks of rows as f32.
 *
 * A chunk is widened into scratch, small enough to stay in a core's cache until it is used; f32 weights are read where they
 * lie. Scales that are not f32 are widened behind the chunk.
 */
import type { TensorSpec } from '@mindseye/tensor-core';
import type { CodeBits, HalfName, Kernels } from '../kernels/index.js';
import type { KernelOperand } from './kernel-row.js';

/** The format of group-quantised operands, as the core's ops carry it. */
export interface QuantizedFormat {
  readonly bits: CodeBits;
  readonly groupSize: number;
  readonly columns: number;
  readonly symmetric: boolean;
}

export interface WeightLayout {
  readonly rows: number;
  readonly columns: number;
  /** Rows that are read at a time. */
  readonly chunkRows: number;
  /** Bytes of scratch for one chunk. */
  readonly scratchBytes: number;
}

const chunkBytes = 2 ** 18;
/** A product with fewer rows of the weight than this would be all overhead. */
const fewestRows = 32;

const isHalf = (dtype: TensorSpec['dtype']): dtype is HalfName => dtype === 'f16' || dtype === 'bf16';

/** How a weight is read. @param operands one dense matrix (`format` null), or codes, scales and offsets. */
export function weightLayout(operands: readonly TensorSpec[], format: QuantizedFormat | null): WeightLayout {
  const [first, scales] = operands;
  const rows = first!.shape[0]!;
  const columns = format ? format.columns : first!.shape[1]!;
  const chunkRows = Math.max(1, Math.min(rows, Math.max(fewestRows, Math.floor(chunkBytes / (4 * Math.max(columns, 1))))));
  const scaleCount = format && isHalf(scales!.dtype) ? chunkRows * scales!.shape[1]! * (operands.length - 1) : 0;
  const isInPlace = !format && first!.dtype === 'f32';
  return { rows, columns, chunkRows, scratchBytes: isInPlace ? 0 : 4 * (chunkRows * columns + scaleCount) };
}

/**
 * The address of rows `from` … `from` + `count` − 1 as dense f32.
 *
 * @param count at most `chunkRows` of the layout. @param scratch `scratchBytes` of the layout.
 */
export type RowSource = (from: number, count: number, scratch: number) => number;

export function rowSource(
  kernels: Kernels,
  operands: readonly KernelOperand[],
  format: QuantizedFormat | null,
): RowSource {
  return format ? quantizedSource(kernels, operands, format) : denseSource(kernels, operands[0]!);
}

function denseSource(kernels: Kernels, { dtype, shape, pointer }: KernelOperand): RowSource {
  const columns = shape[1]!;
  if (!isHalf(dtype)) return (from) => pointer + 4 * from * columns;
  return (from, count, scratch) => {
    kernels.widen(dtype, scratch, pointer + 2 * from * columns, count * columns);
    return scratch;
  };
}

function quantizedSource(
  kernels: Kernels,
  [codes, ...factors]: readonly KernelOperand[],
  { bits, groupSize, columns, symmetric }: QuantizedFormat,
): RowSource {
  const [words, groups] = [codes!.shape[1]!, factors[0]!.shape[1]!];
  return (from, count, scratch) => {
    const [scales, offsets] = factors.map(({ dtype, pointer }, i) => {
      if (!isHalf(dtype)) return pointer + 4 * from * groups;
      const at = scratch + 4 * count * (columns + i * groups);
      kernels.widen(dtype, at, pointer + 2 * from * groups, count * groups);
      return at;
    });
    kernels.dequantize({
      out: scratch,
      codes: codes!.pointer + 4 * from * words,
      scales: scales!,
      ...(offsets !== undefined && { offsets }),
      rows: count,
      columns,
      bits,
      groupSize,
      zero: symmetric ? 2 ** (bits - 1) : 0,
    });
    return scratch;
  };
}
