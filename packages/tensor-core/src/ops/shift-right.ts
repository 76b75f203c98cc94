import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { overwritesElements } from './elementwise.js';
import { formatSpec } from './operands.js';

interface ShiftAttributes {
  readonly bits: number;
}

/** x >>> bits on u32 words. */
export const shiftRightOp: Op<ShiftAttributes> = {
  name: 'shiftRight',
  infer([x], { bits }) {
    if (x!.dtype !== 'u32' || !Number.isInteger(bits) || bits < 0 || bits > 31)
      throw new ShapeError(`shiftRight takes u32 words and 0 to 31 bits, got ${formatSpec(x!)} and ${bits}`);
    return [x!];
  },
  reference({ inputs: [x], outputs: [y], attributes: { bits } }) {
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = x!.data[i]! >>> bits;
  },
  scalar:
    (_operands, { bits }) =>
    (x) =>
      x! >>> bits,
  overwrites: ([x]) => overwritesElements([x!], x!),
  stopsGradient: true,
};

export const shiftRight = (x: Tensor, bits: number): Tensor => applyOne(shiftRightOp, [x], { bits });
