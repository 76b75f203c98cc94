import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { fillRandomBits } from '../random/philox.js';
import { sameShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { cast } from './cast.js';
import { mul } from './mul.js';
import { formatSpec } from './operands.js';
import { shiftRight } from './shift-right.js';

interface RandomBitsAttributes {
  readonly shape: readonly number[];
  /** Tells apart the draws made from one seed. */
  readonly stream: number;
}

/** Uniform 32-bit words from Philox4x32-10, the same on every device. `seed` is a run-time u32 [2]. */
export const randomBitsOp: Op<RandomBitsAttributes> = {
  name: 'randomBits',
  infer([seed], { shape }) {
    if (seed!.dtype !== 'u32' || !sameShape(seed!.shape, [2]))
      throw new ShapeError(`randomBits: the seed is two u32 words, got ${formatSpec(seed!)}`);
    return [{ shape, dtype: 'u32' }];
  },
  reference({ inputs: [seed], outputs: [y], attributes: { stream } }) {
    fillRandomBits(y!.data as Uint32Array, [seed!.data[0]!, seed!.data[1]!], stream);
  },
  flops: () => 0,
  stopsGradient: true,
};

export const randomBits = (seed: Tensor, shape: readonly number[], stream: number): Tensor =>
  applyOne(randomBitsOp, [seed], { shape: [...shape], stream });

/** Uniform in [0, 1): the top 24 bits of each word, so that every value is exact in f32. */
export const randomUniform = (seed: Tensor, shape: readonly number[], stream: number): Tensor =>
  mul(cast(shiftRight(randomBits(seed, shape, stream), 8), 'f32'), 2 ** -24);
