import type { DType } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { overwritesElements } from './elementwise.js';
import { formatSpec } from './operands.js';

interface BitcastAttributes {
  readonly dtype: DType;
}

const is32Bit = (dtype: DType): boolean => dtype === 'f32' || dtype === 'i32' || dtype === 'u32';

/**
 * The same 32 bits as another dtype (torch.Tensor.view(dtype), jax.lax.bitcast_convert_type): f32, i32 and u32.
 *
 * Which of the words of NaN comes out is up to the device. In 64 bits, f32 is rounded first. No gradient.
 */
export const bitcastOp: Op<BitcastAttributes> = {
  name: 'bitcast',
  infer([x], { dtype }) {
    if (!is32Bit(x!.dtype) || !is32Bit(dtype))
      throw new ShapeError(`bitcast is between f32, i32 and u32, got ${formatSpec(x!)} to ${dtype}: cast it first`);
    return [{ shape: x!.shape, dtype }];
  },
  reference({ inputs: [x], outputs: [y], attributes: { dtype } }) {
    const convert = reinterpreter(x!.dtype, dtype);
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = convert(x!.data[i]!);
  },
  scalar: ([from], { dtype }) => reinterpreter(from!, dtype),
  overwrites: ([x]) => overwritesElements([x!], x!),
  flops: () => 0,
  stopsGradient: true,
};

/** From the number with some bits in one dtype to the number with the same bits in another. */
function reinterpreter(from: DType, to: DType): (value: number) => number {
  const bits = new DataView(new ArrayBuffer(4));
  const write = {
    f32: (value: number) => bits.setFloat32(0, value),
    i32: (value: number) => bits.setInt32(0, value),
    u32: (value: number) => bits.setUint32(0, value),
  }[from as 'f32'];
  const read = { f32: () => bits.getFloat32(0), i32: () => bits.getInt32(0), u32: () => bits.getUint32(0) }[
    to as 'f32'
  ];
  return (value) => {
    write(value);
    return read();
  };
}

export const bitcast = (x: Tensor, dtype: DType): Tensor =>
  x.dtype === dtype ? x : applyOne(bitcastOp, [x], { dtype });
