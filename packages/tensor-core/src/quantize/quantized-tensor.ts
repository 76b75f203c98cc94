/**
 * A weight matrix held in codes with scales (see `format.ts`), as a plain object of tensors.
 *
 * It goes through `evaluate` and compiled functions like any tree, and through `linear`, `embedding` and `dequantize` in
 * place of a matrix. Bytes: rows · (⌈columns·bits/32⌉·4 + groups·(scale bytes)·(1, or 2 with offsets)).
 */
import { ShapeError } from '../errors.js';
import { slice } from '../ops/slice.js';
import { Tensor } from '../tensor.js';
import { type QuantizationBits, type QuantizationFormat, type QuantizationGroupSize, checkOperands } from './format.js';

export interface QuantizedTensor {
  /** u32 [rows, ⌈columns·bits/32⌉]. */
  readonly codes: Tensor;
  /** f32, f16 or bf16 [rows, ⌈columns/groupSize⌉]. */
  readonly scales: Tensor;
  /** Like `scales`: −scale · zeroPoint. Left out where the format is symmetric. */
  readonly offsets?: Tensor;
  readonly bits: QuantizationBits;
  readonly groupSize: QuantizationGroupSize;
  /** Width of the matrix that is meant; the last word of a row may hold more codes. */
  readonly columns: number;
}

/** A weight matrix [rows, columns] in any storage: dense f32, f16 or bf16, or quantised. */
export type Weight = Tensor | QuantizedTensor;

/** True for an object of the shape of a `QuantizedTensor`; `checkQuantized` says whether its parts fit each other. */
export function isQuantized(value: unknown): value is QuantizedTensor {
  if (typeof value !== 'object' || value === null || value instanceof Tensor) return false;
  const { codes, scales, bits, groupSize, columns } = value as Partial<Record<keyof QuantizedTensor, unknown>>;
  return (
    codes instanceof Tensor &&
    scales instanceof Tensor &&
    [bits, groupSize, columns].every((number) => typeof number === 'number')
  );
}

export const formatOf = ({ bits, groupSize, columns, offsets }: QuantizedTensor): QuantizationFormat => ({
  bits,
  groupSize,
  columns,
  symmetric: offsets === undefined,
});

/** Codes, scales and offsets where there are some, as operands of an op. */
export const operandsOf = ({ codes, scales, offsets }: QuantizedTensor): readonly Tensor[] =>
  offsets ? [codes, scales, offsets] : [codes, scales];

/** The inverse of `operandsOf`. */
export function fromOperands(
  [codes, scales, offsets]: readonly Tensor[],
  { bits, groupSize, columns }: QuantizationFormat,
): QuantizedTensor {
  return { codes: codes!, scales: scales!, ...(offsets && { offsets }), bits, groupSize, columns };
}

/**
 * The quantised weight itself, when its parts fit each other.
 *
 * @throws ShapeError that names the part, what it is and what it should be.
 */
export function checkQuantized(weight: QuantizedTensor, what = 'quantised weight'): QuantizedTensor {
  checkOperands(what, operandsOf(weight), formatOf(weight));
  return weight;
}

/** Shape [rows, columns] of the matrix that is meant. */
export function weightShape(weight: Weight): readonly [number, number] {
  if (isQuantized(weight)) return [weight.codes.shape[0]!, weight.columns];
  if (weight.rank !== 2) throw new ShapeError(`a weight is a matrix [rows, columns], got ${weight.toString()}`);
  return weight.shape as [number, number];
}

/** Rows `from` … `to` − 1 of a weight in its own storage. Rows lie one after another, so this moves no data in a plan. */
export function sliceRows<W extends Weight>(weight: W, from: number, to: number): W {
  if (!isQuantized(weight)) return slice(weight as Tensor, 0, from, to) as W;
  const parts = operandsOf(weight).map((part) => slice(part, 0, from, to));
  return fromOperands(parts, formatOf(weight)) as W;
}

/** The pieces of a weight between consecutive boundaries, with the rows they are. */
export const cutRows = <W extends Weight>(
  weight: W,
  boundaries: readonly number[],
): readonly { readonly from: number; readonly to: number; readonly piece: W }[] =>
  boundaries.slice(1).map((to, i) => {
    const from = boundaries[i]!;
    return { from, to, piece: sliceRows(weight, from, to) };
  });

/** Bytes that a weight takes in its storage. */
export const weightBytes = (weight: Weight): number =>
  (isQuantized(weight) ? operandsOf(weight) : [weight]).reduce((total, part) => total + part.byteLength, 0);
