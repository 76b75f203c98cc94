/**
 * compressed-tensors, "pack-quantized" (W4A16, W8A16): w = scale · (code − zeroPoint), where 2^(bits−1) has been added to codes
 * and zero points so that both are above 0; without zero points it is symmetric.
 *
 *   weight_packed i32 [out, ⌈in·bits/32⌉], lowest bits first; weight_scale [out, groups]
 *   weight_zero_point i32 [⌈out·bits/32⌉, groups], packed down the rows; weight_g_idx i32 [in]; weight_shape i64 [2]
 *
 * Source: compressed-tensors `compressors/pack_quantized.py`, pack_to_int32.
 */
import { wordsPerRow } from '@mindseye/tensor-core';
import { readWords } from '../read-context.js';
import { inOrder, readGroupNumbers, rowBlocks, transposed, unpackWords } from './codes.js';
import { type PackedFormat, SCALE_DTYPES, WORD_DTYPES } from './format.js';

const widths = [4, 8] as const;

export const compressedTensorsFormat: PackedFormat = {
  method: 'compressed-tensors',
  recognises: (parts) => parts.has('weight_packed'),
  // The width is in the data of weight_shape, not in a header.
  shape: () => undefined,
  describe([rows, columns], parts) {
    const words = parts.get('weight_packed')?.shape[1] ?? 0;
    const bits = widths.find((width) => wordsPerRow({ bits: width, columns }) === words);
    if (!bits) return `${words} words for ${columns} columns are no layout of 4 or 8 bits`;
    const groups = parts.get('weight_scale')?.shape[1] ?? 1;
    if (groups === 0 || columns % groups !== 0) return `${groups} groups do not divide its ${columns} columns`;
    const zeroWords = Math.ceil((rows * bits) / 32);
    return {
      rows,
      columns,
      bits,
      groupSize: columns / groups,
      required: {
        weight_packed: { shape: [rows, words], dtypes: WORD_DTYPES },
        weight_scale: { shape: [rows, groups], dtypes: SCALE_DTYPES },
      },
      optional: {
        weight_shape: { shape: [2], dtypes: ['I64', 'I32'] },
        weight_zero_point: { shape: [zeroWords, groups], dtypes: WORD_DTYPES },
        weight_g_idx: { shape: [columns], dtypes: WORD_DTYPES },
      },
      groupIndexPart: 'weight_g_idx',
      codeBlocks: (context, names) => rowBlocks(context, names.get('weight_packed')!, words),
      scales: (context, names) => readGroupNumbers(context, names, 'weight_scale'),
      zeroPoints: async (context, names) => {
        const name = names.get('weight_zero_point');
        if (name === undefined) return undefined;
        const byGroup = transposed(await readWords(context, name), zeroWords, groups);
        return transposed(
          unpackWords(byGroup, { fileRows: groups, columns: rows, bits, order: inOrder }),
          groups,
          rows,
        );
      },
    };
  },
};
