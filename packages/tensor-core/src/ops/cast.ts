import { type DType, type HostArray, isFloat } from '../dtype.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../numeric/half.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';

interface CastAttributes {
  readonly dtype: DType;
}

const decode: Partial<Record<DType, (bits: number) => number>> = { f16: f16ToF32, bf16: bf16ToF32 };
const encode: Partial<Record<DType, (value: number) => number>> = {
  f16: f32ToF16,
  bf16: f32ToBf16,
  bool: (value) => (value !== 0 ? 1 : 0),
  i32: Math.trunc,
  u32: Math.trunc,
};

/** The same values in another dtype: towards zero for integers, nearest-even for f16 and bf16, "is not 0" for bool. */
export const castOp: Op<CastAttributes> = {
  name: 'cast',
  infer: ([x], { dtype }) => [{ shape: x!.shape, dtype }],
  reference({ inputs: [x], outputs: [y], attributes: { dtype } }) {
    const read = decode[x!.dtype];
    const write = encode[dtype];
    const [from, to]: [HostArray, HostArray] = [x!.data, y!.data];
    for (let i = 0; i < to.length; i++) {
      const value = read ? read(from[i]!) : from[i]!;
      to[i] = write ? write(value) : value;
    }
  },
  vjp: ({ inputs: [x], cotangents: [dy] }) => [isFloat(x!.dtype) ? cast(dy!, x!.dtype) : undefined],
};

export const cast = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : applyOne(castOp, [x], { dtype }));
