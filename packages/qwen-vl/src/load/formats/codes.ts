/**
 * Words of packed codes and numbers per group, from the order of a file to ours.
 *
 * Ours: row by row, and in a row the codes of consecutive columns from the lowest bits up. Files that pack [in, out] instead are
 * transposed window by window.
 */
import { type SafetensorsDtype, widenBf16, widenF16 } from '@mindseye/tensor-core';
import { type ReadContext, byteWindows, readFloats, readInto, bytesOf } from '../read-context.js';
import type { CodeBlock, GroupNumbers, PartNames } from './format.js';

/** Rows of words that lie in the file as they do in memory. */
export async function* rowBlocks(context: ReadContext, name: string, words: number): AsyncGenerator<CodeBlock, void> {
  for await (const { at, bytes } of byteWindows(context, name, words * 4)) {
    const codes = new Uint32Array(bytes.buffer, 0, bytes.length / 4);
    yield { rowFrom: at / (words * 4), rows: codes.length / words, wordFrom: 0, words, codes };
  }
}

/**
 * A file of [in, out] words as blocks [out, words].
 *
 * @param fileRowsPerWord rows of the file that one of our words is made of
 * @param fileRowWords words in a row of the file
 * @param transpose writes the words of `count` of our columns of words into `codes` [rows, count]
 */
export async function* transposedBlocks(
  context: ReadContext,
  name: string,
  { rows, fileRowsPerWord, fileRowWords }: { rows: number; fileRowsPerWord: number; fileRowWords: number },
  transpose: (file: Uint32Array, codes: Uint32Array, count: number) => void,
): AsyncGenerator<CodeBlock, void> {
  const unitBytes = fileRowsPerWord * fileRowWords * 4;
  let codes = new Uint32Array(0);
  for await (const { at, bytes } of byteWindows(context, name, unitBytes)) {
    const words = bytes.length / unitBytes;
    if (codes.length < rows * words) codes = new Uint32Array(rows * words);
    transpose(new Uint32Array(bytes.buffer, 0, bytes.length / 4), codes, words);
    yield { rowFrom: 0, rows, wordFrom: at / unitBytes, words, codes: codes.subarray(0, rows * words) };
  }
}

const groupDtypes: Partial<Record<SafetensorsDtype, GroupNumbers['dtype']>> = { F16: 'f16', BF16: 'bf16', F32: 'f32' };

/** A part's numbers in the dtype of the file. */
export async function readGroupNumbers(context: ReadContext, parts: PartNames, part: string): Promise<GroupNumbers> {
  const name = parts.get(part)!;
  const dtype = groupDtypes[context.source.info(name).dtype]!;
  if (dtype === 'f32') return { dtype, data: await readFloats(context, name) };
  const data = new Uint16Array(context.source.info(name).byteLength / 2);
  await readInto(context, name, bytesOf(data));
  return { dtype, data };
}

/** [from, to] → [to, from]. */
export function transposed<Numbers extends Float32Array | Uint32Array | Uint16Array | Uint8Array>(
  data: Numbers,
  from: number,
  to: number,
): Numbers {
  const result = new (data.constructor as new (length: number) => Numbers)(data.length);
  for (let i = 0; i < from; i++) for (let j = 0; j < to; j++) result[j * from + i] = data[i * to + j]!;
  return result;
}

/** Numbers of a file that has them as [groups, rows]. */
export async function readTransposedNumbers(
  context: ReadContext,
  parts: PartNames,
  part: string,
  groups: number,
  rows: number,
): Promise<GroupNumbers> {
  const { dtype, data } = await readGroupNumbers(context, parts, part);
  return { dtype, data: transposed(data, groups, rows) };
}

/** The numbers as f32, themselves when they are already. */
export function widened({ dtype, data }: GroupNumbers): Float32Array {
  if (data instanceof Float32Array) return data;
  const target = new Float32Array(data.length);
  return dtype === 'f16' ? widenF16(data, target) : widenBf16(data, target);
}

/** Place of the `index`-th column of a word among its codes, from the lowest bits. */
export type CodeOrder = (index: number) => number;

export const inOrder: CodeOrder = (index) => index;

/** Codes of packed words [fileRows, words], the first `columns` of each row, as numbers [fileRows, columns]. */
export function unpackWords(
  words: Uint32Array,
  { fileRows, columns, bits, order }: { fileRows: number; columns: number; bits: number; order: CodeOrder },
): Uint8Array {
  const perWord = 32 / bits;
  const rowWords = Math.ceil(columns / perWord);
  const mask = 2 ** bits - 1;
  const result = new Uint8Array(fileRows * columns);
  for (let row = 0; row < fileRows; row++) {
    for (let column = 0; column < columns; column++) {
      const word = words[row * rowWords + Math.floor(column / perWord)]!;
      result[row * columns + column] = (word >>> (order(column % perWord) * bits)) & mask;
    }
  }
  return result;
}
