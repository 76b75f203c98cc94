/**
 * The reference loops of products with a weight in any storage, one row of it decoded at a time.
 *
 * For W [rows, columns] and x a stack of vectors:  y = x·Wᵀ + b  (x [.., columns] → y [.., rows])  and
 * y = x·W  (x [.., rows] → y [.., columns]); sums in 64 bits. Memory beside the operands: one row, and for x·W one y.
 */
import { decoderOf } from '../dtype.js';
import type { HostTensor } from '../op.js';
import {
  type QuantizationFormat,
  codesPerWord,
  groupsPerRow,
  largestCode,
  symmetricZero,
  wordsPerRow,
} from './format.js';

/** Writes row `row` of the weight into `into`. */
export type RowReader = (row: number, into: Float64Array) => void;

/** Reads a weight whose operands are one dense matrix (`format` null), or codes, scales and offsets. */
export function rowReader(operands: readonly HostTensor[], format: QuantizationFormat | null): RowReader {
  return format ? quantizedReader(operands, format) : denseReader(operands[0]!);
}

function denseReader({ shape, dtype, data }: HostTensor): RowReader {
  const columns = shape[1]!;
  const decode = decoderOf(dtype);
  return (row, into) => {
    for (let column = 0; column < columns; column++) into[column] = decode(data[row * columns + column]!);
  };
}

function quantizedReader([codes, scales, offsets]: readonly HostTensor[], format: QuantizationFormat): RowReader {
  const { bits, groupSize, columns, symmetric } = format;
  const [words, groups, perWord] = [wordsPerRow(format), groupsPerRow(format), codesPerWord(bits)];
  const [mask, zero] = [largestCode(bits), symmetric ? symmetricZero(bits) : 0];
  const decode = decoderOf(scales!.dtype);
  return (row, into) => {
    for (let column = 0; column < columns; column++) {
      const word = codes!.data[row * words + Math.floor(column / perWord)]!;
      const code = (word >>> ((column % perWord) * bits)) & mask;
      const group = row * groups + Math.floor(column / groupSize);
      const offset = offsets ? decode(offsets.data[group]!) : 0;
      into[column] = decode(scales!.data[group]!) * (code - zero) + offset;
    }
  };
}

/** y = x·Wᵀ + b. */
export function multiplyByRows(
  x: HostTensor,
  readRow: RowReader,
  [rows, columns]: readonly [number, number],
  bias: HostTensor | undefined,
  y: HostTensor,
): void {
  const row = new Float64Array(columns);
  const count = rows === 0 ? 0 : y.data.length / rows;
  for (let out = 0; out < rows; out++) {
    readRow(out, row);
    const start = bias ? bias.data[out]! : 0;
    for (let i = 0; i < count; i++) {
      let total = start;
      for (let k = 0; k < columns; k++) total += x.data[i * columns + k]! * row[k]!;
      y.data[i * rows + out] = total;
    }
  }
}

/** y = x·W. */
export function combineRows(
  x: HostTensor,
  readRow: RowReader,
  [rows, columns]: readonly [number, number],
  y: HostTensor,
): void {
  const row = new Float64Array(columns);
  const totals = new Float64Array(y.data.length);
  const count = columns === 0 ? 0 : y.data.length / columns;
  for (let k = 0; k < rows; k++) {
    readRow(k, row);
    for (let i = 0; i < count; i++) {
      const factor = x.data[i * rows + k]!;
      for (let j = 0; j < columns; j++) totals[i * columns + j]! += factor * row[j]!;
    }
  }
  y.data.set(totals);
}
