/**
 * MLX affine, and the checkpoints that this project quantises: w = scale · code + bias.
 *
 *   weight u32 [out, ⌈in·bits/32⌉], lowest bits first; scales and biases [out, ⌈in/group⌉]
 *
 * This is `QuantizedTensor` as it stands. Bits and group follow from the shapes; config.json has to agree where it speaks.
 * Source: mlx `ops.cpp`, affine_quantize and affine_dequantize.
 */
import { groupsPerRow, wordsPerRow } from '@mindseye/tensor-core';
import type { GroupFormat, QuantizationConfig } from '../../config/quantization-config.js';
import { readGroupNumbers, rowBlocks } from './codes.js';
import { type PackedFormat, SCALE_DTYPES } from './format.js';

const formats = ([4, 8] as const).flatMap((bits) => ([32, 64, 128] as const).map((groupSize) => ({ bits, groupSize })));

/** What config.json says of a module; undefined where it says nothing. */
function declared(quantization: QuantizationConfig | undefined, module: string): GroupFormat | false | undefined {
  if (quantization?.method !== 'mlx') return undefined;
  return quantization.modules.get(module) ?? quantization.standard;
}

export const mlxFormat: PackedFormat = {
  method: 'mlx',
  recognises: (parts) => {
    const weight = parts.get('weight');
    return weight !== undefined && (parts.has('scales') || weight.dtype === 'U32');
  },
  shape(parts, quantization, module) {
    const format = declared(quantization, module);
    const [rows, words] = parts.get('weight')?.shape ?? [];
    return format && rows !== undefined && words !== undefined ? [rows, (words * 32) / format.bits] : undefined;
  },
  describe([rows, columns], parts, quantization, module) {
    const words = parts.get('weight')?.shape[1] ?? 0;
    const groups = parts.get('scales')?.shape[1] ?? 0;
    const fits = formats.filter(
      ({ bits, groupSize }) =>
        wordsPerRow({ bits, columns }) === words && groupsPerRow({ groupSize, columns }) === groups,
    );
    const wanted = declared(quantization, module);
    if (wanted === false) return 'it is quantised, and config.json says that it is not';
    // A matrix of one group per row fits several group sizes, which then mean the same.
    const found =
      fits.find(({ bits, groupSize }) => bits === wanted?.bits && groupSize === wanted.groupSize) ?? fits[0];
    if (!found)
      return (
        `${words} words and ${groups} groups for ${columns} columns are no layout of 4 or 8 bits in groups of 32, 64 or 128` +
        (wanted ? ` (config.json says ${wanted.bits} bits in groups of ${wanted.groupSize})` : '')
      );
    if (wanted && (found.bits !== wanted.bits || found.groupSize !== wanted.groupSize))
      return `its shapes are those of ${found.bits} bits in groups of ${found.groupSize}, config.json says ${wanted.bits} in groups of ${wanted.groupSize}`;
    return {
      rows,
      columns,
      ...found,
      required: {
        weight: { shape: [rows, words], dtypes: ['U32'] },
        scales: { shape: [rows, groups], dtypes: SCALE_DTYPES },
        biases: { shape: [rows, groups], dtypes: SCALE_DTYPES },
      },
      optional: {},
      codeBlocks: (context, names) => rowBlocks(context, names.get('weight')!, words),
      scales: (context, names) => readGroupNumbers(context, names, 'scales'),
      offsets: (context, names) => readGroupNumbers(context, names, 'biases'),
    };
  },
};
