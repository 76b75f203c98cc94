import { type DType, decoderOf, encoderOf, isFloat } from '../dtype.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { overwritesElements } from './elementwise.js';

interface CastAttributes {
  readonly dtype: DType;
}

/** The same values in another dtype: towards zero for integers, nearest-even for f16 and bf16, "is not 0" for bool. */
export const castOp: Op<CastAttributes> = {
  name: 'cast',
  infer: ([x], { dtype }) => [{ shape: x!.shape, dtype }],
  reference({ inputs: [x], outputs: [y], attributes: { dtype } }) {
    const convert = converter(x!.dtype, dtype);
    const [from, to] = [x!.data, y!.data];
    for (let i = 0; i < to.length; i++) to[i] = convert(from[i]!);
  },
  scalar: ([from], { dtype }) => converter(from!, dtype),
  overwrites: ([x], { dtype }) => overwritesElements([x!], { shape: x!.shape, dtype }),
  view: ([x], { dtype }) => (x!.dtype === dtype ? 0 : undefined),
  vjp: ({ inputs: [x], cotangents: [dy] }) => [isFloat(x!.dtype) ? cast(dy!, x!.dtype) : undefined],
};

/** From what an array of one dtype stores to what an array of another stores for the same number. */
function converter(from: DType, to: DType): (stored: number) => number {
  const [decode, encode] = [decoderOf(from), encoderOf(to)];
  return (stored) => encode(decode(stored));
}

export const cast = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : applyOne(castOp, [x], { dtype }));
