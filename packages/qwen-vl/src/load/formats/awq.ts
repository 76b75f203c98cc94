/**
 * AutoAWQ in its "gemm" packing: w = scale · (code − zeroPoint), 4 bits.
 *
 *   qweight i32 [in, out/8]; qzeros i32 [in/group, out/8]; scales [in/group, out]
 *
 * A word holds eight neighbouring outputs, those at even places in its low half: from the lowest bits up they are
 * 0, 2, 4, 6, 1, 3, 5, 7. Eight rows of the file therefore hold an 8 × 8 square of codes per column of words, which is
 * transposed and its rows put in order. Source: AutoAWQ `awq/utils/packing_utils.py`, `gemm.py`.
 */
import { type CodeOrder, readTransposedNumbers, transposed, transposedBlocks, unpackWords } from './codes.js';
import { type PackedFormat, SCALE_DTYPES, WORD_DTYPES } from './format.js';
import { readWords } from '../read-context.js';

const CODES = 8;

/** Where the `index`-th of eight outputs lies in its word: even ones in places 0 to 3, odd ones in 4 to 7. */
const awqOrder: CodeOrder = (index) => (index % 2 === 0 ? index / 2 : 4 + (index - 1) / 2);

/** Output that lies in each place of a word. */
const outputAt: readonly number[] = [0, 2, 4, 6, 1, 3, 5, 7];

/**
 * Transposes the 8 × 8 square of 4-bit codes in the eight words of `square`: across the diagonal first blocks of 4 × 4 change
 * places, then those of 2 × 2 within each, then single codes.
 *
 * Signed words, which engines keep as plain integers. Source: Warren, Hacker's Delight, section 7-3.
 */
function transposeCodes(square: Int32Array): void {
  for (let step = 4, mask = 0x0000ffff; step !== 0; step >>= 1, mask ^= mask << (step << 2)) {
    const bits = step << 2;
    for (let row = 0; row < CODES; row = (row + step + 1) & ~step) {
      const low = square[row]!;
      const high = square[row + step]!;
      const moved = ((low >>> bits) ^ high) & mask;
      square[row + step] = high ^ moved;
      square[row] = low ^ (moved << bits);
    }
  }
}

/** Eight rows [8, words] of the file become the words of one of our columns of words, `column` of `count`. */
function transposeRows(file: Int32Array, codes: Int32Array, words: number, column: number, count: number): void {
  const square = new Int32Array(CODES);
  const first = column * CODES * words;
  for (let word = 0; word < words; word++) {
    for (let i = 0; i < CODES; i++) square[i] = file[first + i * words + word]!;
    transposeCodes(square);
    for (let i = 0; i < CODES; i++) codes[(word * CODES + outputAt[i]!) * count + column] = square[i]!;
  }
}

/** The same memory as signed words. */
const asSigned = ({ buffer, byteOffset, length }: Uint32Array): Int32Array =>
  new Int32Array(buffer, byteOffset, length);

export const awqFormat: PackedFormat = {
  method: 'awq',
  recognises: (parts, quantization) => parts.has('qweight') && quantization?.method === 'awq',
  shape(parts) {
    const [columns, words] = parts.get('qweight')?.shape ?? [];
    return columns !== undefined && words !== undefined ? [words * CODES, columns] : undefined;
  },
  describe([rows, columns], parts) {
    const groups = parts.get('scales')?.shape[0] ?? 1;
    if (rows % CODES !== 0 || columns % CODES !== 0)
      return `AWQ packs multiples of ${CODES}, it is [${rows}, ${columns}]`;
    if (groups === 0 || columns % groups !== 0) return `${groups} groups do not divide its ${columns} columns`;
    const words = rows / CODES;
    return {
      rows,
      columns,
      bits: 4,
      groupSize: columns / groups,
      required: {
        qweight: { shape: [columns, words], dtypes: WORD_DTYPES },
        qzeros: { shape: [groups, words], dtypes: WORD_DTYPES },
        scales: { shape: [groups, rows], dtypes: SCALE_DTYPES },
      },
      optional: {},
      codeBlocks: (context, names) =>
        transposedBlocks(
          context,
          names.get('qweight')!,
          { rows, fileRowsPerWord: CODES, fileRowWords: words },
          (file, codes, count) => {
            const [from, to] = [asSigned(file), asSigned(codes)];
            for (let column = 0; column < count; column++) transposeRows(from, to, words, column, count);
          },
        ),
      scales: (context, names) => readTransposedNumbers(context, names, 'scales', groups, rows),
      zeroPoints: async (context, names) => {
        const packed = await readWords(context, names.get('qzeros')!);
        const zeros = unpackWords(packed, { fileRows: groups, columns: rows, bits: 4, order: awqOrder });
        return transposed(zeros, groups, rows);
      },
    };
  },
};
