import { type DType, decoderOf, encoderOf, isFloat } from '../dtype.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';

interface CastAttributes {
  readonly dtype: DType;
}

/** The same values in another dtype: towards zero for integers, nearest-even for f16 and bf16, "is not 0" for bool. */
export const castOp: Op<CastAttributes> = {
  name: 'cast',
  infer: ([x], { dtype }) => [{ shape: x!.shape, dtype }],
  reference({ inputs: [x], outputs: [y], attributes: { dtype } }) {
    const [decode, encode] = [decoderOf(x!.dtype), encoderOf(dtype)];
    const [from, to] = [x!.data, y!.data];
    for (let i = 0; i < to.length; i++) to[i] = encode(decode(from[i]!));
  },
  vjp: ({ inputs: [x], cotangents: [dy] }) => [isFloat(x!.dtype) ? cast(dy!, x!.dtype) : undefined],
};

export const cast = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : applyOne(castOp, [x], { dtype }));
