/**
 * Weight matrices [rows, columns] in any storage, read in chunks of rows as f32.
 *
 * A chunk is widened into scratch, small enough to stay in a cache until it is used; f32 weights are read where they lie.
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
  /** Rows that are read at a time; all of them where nothing has to be widened. */
  readonly chunkRows: number;
  /** Bytes of one chunk as f32; 0 where nothing has to be widened. */
  readonly chunkBytes: number;
  /** Bytes for the scales of a chunk as f32. */
  readonly scaleBytes: number;
}

/** Few rows meet a chunk once, in a cache close by; many rows meet it often, and each chunk costs a pass over them. */
type Meeting = 'few' | 'many';
const chunkBytesFor: Readonly<Record<Meeting, number>> = { few: 2 ** 18, many: 2 ** 21 };
const fewestRows = 8;

const isHalf = (dtype: TensorSpec['dtype']): dtype is HalfName => dtype === 'f16' || dtype === 'bf16';

/** How a weight is read. @param operands one dense matrix (`format` null), or codes, scales and offsets. */
export function weightLayout(
  operands: readonly TensorSpec[],
  format: QuantizedFormat | null,
  meets: Meeting,
): WeightLayout {
  const [first, scales] = operands as readonly [TensorSpec, TensorSpec];
  const rows = first.shape[0]!;
  const columns = format ? format.columns : first.shape[1]!;
  if (!format && !isHalf(first.dtype)) return { rows, columns, chunkRows: rows, chunkBytes: 0, scaleBytes: 0 };
  const fitting = Math.floor(chunkBytesFor[meets] / (4 * Math.max(columns, 1)));
  const chunkRows = Math.min(rows, Math.max(fewestRows, fitting));
  const scaleCount = format && isHalf(scales.dtype) ? chunkRows * scales.shape[1]! * (operands.length - 1) : 0;
  return { rows, columns, chunkRows, chunkBytes: 4 * chunkRows * columns, scaleBytes: 4 * scaleCount };
}

/**
 * The address of rows `from` … `from` + `count` − 1 as dense f32.
 *
 * @param count at most `chunkRows` of the layout. @param into room for a chunk. @param scalesInto room for its scales.
 */
export type RowSource = (from: number, count: number, into: number, scalesInto: number) => number;

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
  return (from, count, into) => {
    kernels.widen(dtype, into, pointer + 2 * from * columns, count * columns);
    return into;
  };
}

function quantizedSource(
  kernels: Kernels,
  [codes, ...factors]: readonly KernelOperand[],
  format: QuantizedFormat,
): RowSource {
  const { bits, groupSize, columns } = format;
  const scalesOf = scaleSource(kernels, factors);
  return (from, count, into, scalesInto) => {
    kernels.dequantize({
      out: into,
      codes: codes!.pointer + 4 * from * codes!.shape[1]!,
      ...scalesOf(from, count, scalesInto),
      rows: count,
      columns,
      bits,
      groupSize,
      zero: zeroOf(format),
    });
    return into;
  };
}

/** The code that stands for 0 in a symmetric format. */
export const zeroOf = ({ bits, symmetric }: QuantizedFormat): number => (symmetric ? 2 ** (bits - 1) : 0);

/** Where the scales (and offsets) of a run of rows lie as f32. @param into room for them, where they are not f32. */
export type ScaleSource = (
  from: number,
  count: number,
  into: number,
) => { readonly scales: number; readonly offsets?: number };

/** Reads scales and offsets [rows, groups] in their storage. */
export function scaleSource(kernels: Kernels, factors: readonly KernelOperand[]): ScaleSource {
  return (from, count, into) => {
    const [scales, offsets] = factors.map(({ dtype, shape, pointer }, i) => {
      const groups = shape[1]!;
      if (!isHalf(dtype)) return pointer + 4 * from * groups;
      const at = into + 4 * i * count * groups;
      kernels.widen(dtype, at, pointer + 2 * from * groups, count * groups);
      return at;
    });
    return { scales: scales!, ...(offsets !== undefined && { offsets }) };
  };
}
