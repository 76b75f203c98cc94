/**
 * A packed matrix of any format → `QuantizedTensor`, or a dense tensor where that is asked for or the only way.
 *
 * A `QuantizedTensor` has one scale for each run of 32, 64 or 128 columns. A file's groups may be larger (then a scale is
 * repeated) or shuffled by GPTQ's activation order: as long as no run of 32 columns crosses into another group it still fits;
 * otherwise the matrix is dequantised to f16.
 *
 *   w = scale · code + offset,   offset = −scale · zeroPoint
 *
 * With zero points scales and offsets are f32, in which the product of a 16-bit scale and a zero point is exact. Memory: the
 * codes and a window of the file; they are placed before scales are read.
 */
import { type QuantizationGroupSize, type Tensor, type Weight, groupsPerRow, wordsPerRow } from '@mindseye/tensor-core';
import { ConfigError } from '../../errors.js';
import { type ReadContext, place, placed, readWords } from '../read-context.js';
import { widened } from './codes.js';
import { type DenseDType, denseTarget, tensorOn } from './dense.js';
import type { GroupNumbers, PackedMatrix, PartNames } from './format.js';

export interface BuiltMatrix {
  readonly weight: Weight;
  /** Why it could not stay packed. */
  readonly dequantised?: string;
}

/** Stored group of each column, and how many groups there are. */
interface Grouping {
  readonly groupOf: (column: number) => number;
  readonly groups: number;
}

/** Builds the matrix; `dense` is the dtype to unpack it to, undefined to keep it packed. */
export async function buildPacked(
  context: ReadContext,
  matrix: PackedMatrix,
  parts: PartNames,
  dense: DenseDType | undefined,
): Promise<BuiltMatrix> {
  const grouping = await readGrouping(context, matrix, parts);
  const groupSize = dense ? undefined : fittingGroupSize(matrix, grouping);
  if (groupSize) return { weight: await keepPacked(context, matrix, parts, grouping, groupSize) };
  const weight = await unpack(context, matrix, parts, grouping, dense ?? 'f16');
  return dense ? { weight } : { weight, dequantised: whyUnpacked(matrix, parts) };
}

async function readGrouping(context: ReadContext, matrix: PackedMatrix, parts: PartNames): Promise<Grouping> {
  const { columns, groupSize } = matrix;
  const groups = Math.ceil(columns / groupSize);
  const name = matrix.groupIndexPart === undefined ? undefined : parts.get(matrix.groupIndexPart);
  if (name === undefined) return { groups, groupOf: (column) => Math.floor(column / groupSize) };
  const index = await readWords(context, name);
  const outside = index.findIndex((group) => group >= groups);
  if (outside >= 0)
    throw new ConfigError(
      `${context.location}: tensor ${name} puts column ${outside} into group ${index[outside]} of ${groups}; get the file again from its source`,
    );
  return { groups, groupOf: (column) => index[column]! };
}

/** The run of columns for which every stored group is whole runs: the file's own where possible, else the longest. */
function fittingGroupSize(
  { columns, groupSize }: PackedMatrix,
  { groupOf }: Grouping,
): QuantizationGroupSize | undefined {
  const fits = (size: number): boolean => {
    for (let column = 0; column < columns; column++)
      if (groupOf(column) !== groupOf(column - (column % size))) return false;
    return true;
  };
  return ([128, 64, 32] as const).toSorted((a, b) => Number(b === groupSize) - Number(a === groupSize)).find(fits);
}

const whyUnpacked = ({ groupSize, groupIndexPart }: PackedMatrix, parts: PartNames): string =>
  groupIndexPart !== undefined && parts.has(groupIndexPart)
    ? `its columns are grouped in activation order (${groupIndexPart})`
    : `its groups of ${groupSize} columns are no multiple of 32`;

/** Numbers per group in our runs of columns. */
function regrouped(
  { dtype, data }: GroupNumbers,
  { rows, columns }: PackedMatrix,
  { groups, groupOf }: Grouping,
  groupSize: number,
): GroupNumbers {
  const runs = groupsPerRow({ groupSize: groupSize as QuantizationGroupSize, columns });
  const sources = Array.from({ length: runs }, (_, run) => groupOf(run * groupSize));
  if (runs === groups && sources.every((group, run) => group === run)) return { dtype, data };
  const result = denseTarget(dtype, rows * runs).data;
  for (let row = 0; row < rows; row++)
    for (let run = 0; run < runs; run++) result[row * runs + run] = data[row * groups + sources[run]!]!;
  return { dtype, data: result };
}

/** −scale · zeroPoint. */
function zeroOffsets(scales: Float32Array, zeroPoints: Uint8Array): GroupNumbers {
  const data = new Float32Array(scales.length);
  for (let i = 0; i < data.length; i++) data[i] = -scales[i]! * zeroPoints[i]!;
  return { dtype: 'f32', data };
}

/** Scales and offsets of the stored groups, offsets undefined where the matrix is symmetric. */
async function readNumbers(
  context: ReadContext,
  { bits, scales: readScales, zeroPoints: readZeroPoints, offsets: readOffsets }: PackedMatrix,
  parts: PartNames,
): Promise<{ readonly scales: GroupNumbers; readonly offsets: GroupNumbers | undefined }> {
  const scales = await readScales(context, parts);
  if (readOffsets) {
    const offsets = await readOffsets(context, parts);
    if (scales.dtype === offsets.dtype) return { scales, offsets };
    return {
      scales: { dtype: 'f32', data: widened(scales) },
      offsets: { dtype: 'f32', data: widened(offsets) },
    };
  }
  const zeroPoints = await readZeroPoints?.(context, parts);
  if (!zeroPoints || zeroPoints.every((zero) => zero === 2 ** (bits - 1))) return { scales, offsets: undefined };
  const wide = widened(scales);
  return { scales: { dtype: 'f32', data: wide }, offsets: zeroOffsets(wide, zeroPoints) };
}

async function keepPacked(
  context: ReadContext,
  matrix: PackedMatrix,
  parts: PartNames,
  grouping: Grouping,
  groupSize: QuantizationGroupSize,
): Promise<Weight> {
  const { rows, columns, bits } = matrix;
  const codes = await readCodes(context, matrix, parts);
  const groups = groupsPerRow({ groupSize, columns });
  const stored = await readNumbers(context, matrix, parts);
  const numbers = async (values: GroupNumbers): Promise<Tensor> => {
    const { dtype, data } = regrouped(values, matrix, grouping, groupSize);
    return place(tensorOn(data, [rows, groups], dtype), context);
  };
  const scales = await numbers(stored.scales);
  return {
    codes,
    scales,
    ...(stored.offsets && { offsets: await numbers(stored.offsets) }),
    bits,
    groupSize,
    columns,
  };
}

/** The codes in our order of bits, block by block right to where they will be used. */
function readCodes(context: ReadContext, matrix: PackedMatrix, parts: PartNames): Promise<Tensor> {
  const { rows, columns, bits } = matrix;
  const rowWords = wordsPerRow({ bits, columns });
  return placed(context, { shape: [rows, rowWords], dtype: 'u32' }, async (codes) => {
    for await (const block of matrix.codeBlocks(context, parts)) {
      if (block.words === rowWords) {
        codes.set(block.codes, block.rowFrom * rowWords);
        continue;
      }
      for (let row = 0; row < block.rows; row++) {
        const at = (block.rowFrom + row) * rowWords + block.wordFrom;
        for (let word = 0; word < block.words; word++) codes[at + word] = block.codes[row * block.words + word]!;
      }
    }
  });
}

async function unpack(
  context: ReadContext,
  matrix: PackedMatrix,
  parts: PartNames,
  { groups, groupOf }: Grouping,
  dtype: DenseDType,
): Promise<Tensor> {
  const { rows, columns, bits } = matrix;
  const perWord = 32 / bits;
  const mask = 2 ** bits - 1;
  const stored = await readNumbers(context, matrix, parts);
  const scales = widened(stored.scales);
  const offsets = stored.offsets && widened(stored.offsets);
  const zero = offsets ? 0 : 2 ** (bits - 1);
  const target = denseTarget(dtype, rows * columns);
  const values = new Float32Array(columns);
  for await (const { rowFrom, rows: count, wordFrom, words, codes } of matrix.codeBlocks(context, parts)) {
    const first = wordFrom * perWord;
    const last = Math.min(columns, first + words * perWord);
    for (let i = 0; i < count; i++) {
      const row = rowFrom + i;
      for (let column = first; column < last; column++) {
        const at = column - first;
        const code = (codes[i * words + Math.floor(at / perWord)]! >>> ((at % perWord) * bits)) & mask;
        const group = row * groups + groupOf(column);
        values[at] = scales[group]! * (code - zero) + (offsets ? offsets[group]! : 0);
      }
      target.write(values.subarray(0, last - first), row * columns + first);
    }
  }
  return place(tensorOn(target.data, [rows, columns], dtype), context);
}
