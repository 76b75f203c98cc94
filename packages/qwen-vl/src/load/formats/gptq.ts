/**
 * GPTQ: w = scale · (code − zeroPoint), 4 or 8 bits.
 *
 *   qweight i32 [in·bits/32, out], the codes of one output's neighbouring inputs from the lowest bits up
 *   qzeros  i32 [groups, out·bits/32]; the first version of the format stores zeroPoint − 1, and 0 − 1 wraps around
 *   scales  [groups, out]; g_idx i32 [in], the group of each input, which `desc_act` shuffles
 *
 * A word is one of ours already; only rows and columns of words change places.
 * Sources: AutoGPTQ `qlinear_cuda.py`; GPTQModel on `gptq_v2`.
 */
import { readWords } from '../read-context.js';
import { inOrder, readTransposedNumbers, transposed, transposedBlocks, unpackWords } from './codes.js';
import { type PackedFormat, SCALE_DTYPES, WORD_DTYPES } from './format.js';

const widths = [4, 8] as const;

export const gptqFormat: PackedFormat = {
  method: 'gptq',
  recognises: (parts, quantization) => parts.has('qweight') && quantization?.method === 'gptq',
  shape(parts) {
    const [words, rows] = parts.get('qweight')?.shape ?? [];
    const zeroWords = parts.get('qzeros')?.shape[1];
    if (words === undefined || rows === undefined || !zeroWords) return undefined;
    // Zero points are as wide as codes, and as many as outputs.
    return [rows, Math.floor((words * rows) / zeroWords)];
  },
  describe([rows, columns], parts, quantization) {
    const words = parts.get('qweight')?.shape[0] ?? 0;
    const bits = widths.find((width) => columns * width === words * 32);
    if (!bits) return `${words} words for ${columns} columns are no layout of 4 or 8 bits`;
    const groups = parts.get('scales')?.shape[0] ?? 1;
    if (groups === 0 || groups > columns) return `${groups} groups do not fit its ${columns} columns`;
    if ((rows * bits) % 32 !== 0) return `GPTQ packs zero points by ${32 / bits}, it has ${rows} rows`;
    const bias = quantization?.method === 'gptq' ? quantization.zeroPointBias : 1;
    return {
      rows,
      columns,
      bits,
      groupSize: Math.ceil(columns / groups),
      required: {
        qweight: { shape: [words, rows], dtypes: WORD_DTYPES },
        qzeros: { shape: [groups, (rows * bits) / 32], dtypes: WORD_DTYPES },
        scales: { shape: [groups, rows], dtypes: SCALE_DTYPES },
      },
      optional: { g_idx: { shape: [columns], dtypes: WORD_DTYPES } },
      groupIndexPart: 'g_idx',
      codeBlocks: (context, names) =>
        transposedBlocks(
          context,
          names.get('qweight')!,
          { rows, fileRowsPerWord: 1, fileRowWords: rows },
          (file, codes, count) => {
            for (let word = 0; word < count; word++)
              for (let row = 0; row < rows; row++) codes[row * count + word] = file[word * rows + row]!;
          },
        ),
      scales: (context, names) => readTransposedNumbers(context, names, 'scales', groups, rows),
      zeroPoints: async (context, names) => {
        const packed = await readWords(context, names.get('qzeros')!);
        const zeros = unpackWords(packed, { fileRows: groups, columns: rows, bits, order: inOrder });
        const mask = 2 ** bits - 1;
        for (let i = 0; i < zeros.length; i++) zeros[i] = (zeros[i]! + bias) & mask;
        return transposed(zeros, groups, rows);
      },
    };
  },
};
