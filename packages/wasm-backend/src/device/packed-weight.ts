/**
 * Panels of a right operand of many products, kept with the buffer that it lies in: packing, a pass over the matrix for every
 * product, is done once. They take as many bytes again as the matrix.
 */
import type { Kernels, RightOperand } from '../kernels/index.js';
import type { KeptForm } from './kept-forms.js';
import type { KeptFormRequest } from './kernel-row.js';

/** With more rows than this on the left, packing is a small share of the work. */
const MOST_ROWS = 1024;

export type RightSizes = Pick<RightOperand, 'n' | 'k' | 'transposeB'>;

/** The form to keep of input number `input`, which meets `m` rows; undefined where it does not pay. */
export function panelsOf(
  kernels: Kernels,
  input: number,
  m: number,
  { n, k, transposeB = false }: RightSizes,
): KeptFormRequest | undefined {
  const byteLength = kernels.packedWeightBytes(n, k);
  if (m > MOST_ROWS || byteLength === 0) return undefined;
  return { input, key: `panels ${n} x ${k}${transposeB ? ' transposed' : ''}`, byteLength };
}

/** Where the panels are, which are written if they are not there yet; undefined where there is no room for them. */
export function panelsIn(kernels: Kernels, kept: KeptForm | undefined, operand: RightOperand): number | undefined {
  if (kept?.fresh) kernels.packWeight(operand, kept.pointer);
  return kept?.pointer;
}
