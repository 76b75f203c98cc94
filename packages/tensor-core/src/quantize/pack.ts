/**
 * Codes of a few bits in u32 words, as graph: the k-th code of a word lies in its bits k·bits … (k+1)·bits − 1.
 *
 * Packing adds codes multiplied by powers of two, which never carry into each other. Unpacking moves a code to the top of
 * its word by a product modulo 2³² and shifts it down, so that no bit mask is needed.
 */
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { concat } from '../ops/concat.js';
import { mul } from '../ops/mul.js';
import { pad } from '../ops/pad.js';
import { reshape } from '../ops/reshape.js';
import { shiftRight } from '../ops/shift-right.js';
import { slice } from '../ops/slice.js';
import { sum } from '../ops/sum.js';
import { formatShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type QuantizationBits, codesPerWord, wordsPerRow } from './format.js';

/** u32 [codes per word]: 2 to the given exponents. */
const powersOfTwo = (bits: QuantizationBits, exponent: (place: number) => number): Tensor =>
  concat(
    Array.from({ length: codesPerWord(bits) }, (_, place) => full([1], 2 ** exponent(place), 'u32')),
    0,
  );

function requireMatrix(what: string, x: Tensor): readonly [number, number] {
  if (x.dtype !== 'u32' || x.rank !== 2)
    throw new ShapeError(`${what} takes a u32 matrix, got ${x.dtype}${formatShape(x.shape)}`);
  return x.shape as [number, number];
}

/**
 * Codes u32 [rows, columns] → words u32 [rows, ⌈columns·bits/32⌉]; the bits behind the last column are 0.
 *
 * A code of `bits` bits or more would run into its neighbour: clamp codes of another source first.
 */
export function packCodes(codes: Tensor, bits: QuantizationBits): Tensor {
  const [rows, columns] = requireMatrix('packCodes', codes);
  const words = wordsPerRow({ bits, columns });
  const perWord = codesPerWord(bits);
  const padded = pad(codes, [0, 0], [0, words * perWord - columns]);
  const places = powersOfTwo(bits, (place) => place * bits);
  return sum(mul(reshape(padded, [rows, words, perWord]), places), 2);
}

/** Words u32 [rows, words] → codes u32 [rows, columns], the inverse of `packCodes`; `columns` defaults to all there are. */
export function unpackCodes(packed: Tensor, bits: QuantizationBits, columns?: number): Tensor {
  const [rows, words] = requireMatrix('unpackCodes', packed);
  const perWord = codesPerWord(bits);
  const toTop = powersOfTwo(bits, (place) => 32 - (place + 1) * bits);
  const codes = shiftRight(mul(reshape(packed, [rows, words, 1]), toTop), 32 - bits);
  return slice(reshape(codes, [rows, words * perWord]), 1, 0, columns ?? words * perWord);
}
