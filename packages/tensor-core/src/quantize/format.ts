/**
 * How a group-quantised matrix lies in memory.
 *
 * A matrix [rows, columns] is held as whole numbers ("codes") of 4 or 8 bits with one scale per run of `groupSize` columns:
 *
 *   codes    u32 [rows, words]     words = ⌈columns·bits / 32⌉; column c is in word ⌊c·bits/32⌋, lowest bits first
 *   scales   f32 | f16 | bf16 [rows, groups]     groups = ⌈columns / groupSize⌉
 *   offsets  like scales; only with zero points
 *
 *   symmetric          w = scale · (code − 2^(bits−1))
 *   with zero points   w = scale · code + offset,   offset = −scale · zeroPoint
 *
 * Columns need not be a multiple of the group or of the word: every row starts at a word of its own, and the bits behind its
 * last column mean nothing. MLX (`scales`, `biases`) is this form as it stands; AWQ and GPTQ are, once their codes are put
 * in this order and offset = −scale · zeroPoint.
 */
import { isFloat } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { formatShape, sameShape } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

export type QuantizationBits = 4 | 8;
export type QuantizationGroupSize = 32 | 64 | 128;

export interface QuantizationFormat {
  readonly bits: QuantizationBits;
  readonly groupSize: QuantizationGroupSize;
  /** Width of the matrix. */
  readonly columns: number;
  /** True without offsets. */
  readonly symmetric: boolean;
}

export const allowedBits: readonly QuantizationBits[] = [4, 8];
export const allowedGroupSizes: readonly QuantizationGroupSize[] = [32, 64, 128];

export const codesPerWord = (bits: QuantizationBits): number => 32 / bits;
export const wordsPerRow = ({ bits, columns }: Pick<QuantizationFormat, 'bits' | 'columns'>): number =>
  Math.ceil(columns / codesPerWord(bits));
export const groupsPerRow = ({ groupSize, columns }: Pick<QuantizationFormat, 'groupSize' | 'columns'>): number =>
  Math.ceil(columns / groupSize);
/** The code that means 0 in a symmetric format. */
export const symmetricZero = (bits: QuantizationBits): number => 2 ** (bits - 1);
export const largestCode = (bits: QuantizationBits): number => 2 ** bits - 1;

/** Operands that hold one matrix: codes, scales, and offsets where the format has zero points. */
export const operandCount = ({ symmetric }: QuantizationFormat): number => (symmetric ? 2 : 3);

/** Throws a ShapeError unless bits and group size are ones that exist. */
export function checkBitsAndGroup(what: string, bits: number, groupSize: number): void {
  if (!allowedBits.some((allowed) => allowed === bits))
    throw new ShapeError(`${what}: codes have ${allowedBits.join(' or ')} bits, got ${bits}`);
  if (!allowedGroupSizes.some((allowed) => allowed === groupSize))
    throw new ShapeError(`${what}: a group has ${allowedGroupSizes.join(', ')} columns, got ${groupSize}`);
}

/**
 * Throws a ShapeError unless the operands hold one matrix in this format.
 *
 * @returns the number of rows.
 */
export function checkOperands(
  what: string,
  [codes, scales, offsets]: readonly TensorSpec[],
  format: QuantizationFormat,
): number {
  const { bits, groupSize, columns, symmetric } = format;
  checkBitsAndGroup(what, bits, groupSize);
  const describe = (spec: TensorSpec | undefined): string =>
    spec ? `${spec.dtype}${formatShape(spec.shape)}` : 'nothing';
  const rows = codes?.shape[0] ?? 0;
  const layout = `${bits} bits in groups of ${groupSize} over ${columns} columns`;
  const wanted = [rows, wordsPerRow(format)];
  if (!codes || codes.dtype !== 'u32' || !sameShape(codes.shape, wanted))
    throw new ShapeError(
      `${what}: codes for ${layout} are u32[rows, ${wanted[1]}], got ${describe(codes)}: check columns, or pack the codes with packCodes`,
    );
  const grid = [rows, groupsPerRow(format)];
  if (!scales || !isFloat(scales.dtype) || !sameShape(scales.shape, grid))
    throw new ShapeError(
      `${what}: scales for ${layout} are f32, f16 or bf16 ${formatShape(grid)}, got ${describe(scales)}: one for each group of a row`,
    );
  if (symmetric ? offsets : !offsets || offsets.dtype !== scales.dtype || !sameShape(offsets.shape, grid))
    throw new ShapeError(
      `${what}: offsets are ${symmetric ? 'left out of a symmetric format' : `like the scales, ${describe(scales)}`}, got ${describe(offsets)}`,
    );
  return rows;
}
