import { type DType, isArithmetic } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';

interface IotaAttributes {
  readonly length: number;
  readonly dtype: DType;
}

/** 0, 1, 2, … length-1 (torch.arange). */
export const iotaOp: Op<IotaAttributes> = {
  name: 'iota',
  infer(_inputs, { length, dtype }) {
    if (!isArithmetic(dtype) || dtype === 'bool')
      throw new ShapeError(`arange does not count in ${dtype}: cast an i32 one`);
    return [{ shape: [length], dtype }];
  },
  reference({ outputs: [y] }) {
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = i;
  },
  flops: () => 0,
  vjp: () => [],
};

export const arange = (length: number, dtype: DType = 'i32'): Tensor => applyOne(iotaOp, [], { length, dtype });
