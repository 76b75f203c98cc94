/**
 * Inverted dropout (Srivastava et al. 2014): each element is 0 with probability p, else x/(1 − p).
 *
 * The choice is Philox(seed, stream, element index), so the same seed drops the same elements on every device and the
 * backward pass draws them again instead of keeping a mask. `seed` is a run-time u32 [2].
 */
import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { less } from '../ops/compare.js';
import { overwritesElements } from '../ops/elementwise.js';
import { mul } from '../ops/mul.js';
import { misfit } from '../ops/operands.js';
import { randomUniform } from '../ops/random-bits.js';
import { select } from '../ops/select.js';
import { fillRandomBits } from '../random/philox.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';

export interface DropoutAttributes {
  readonly probability: number;
  readonly stream: number;
}

export const dropoutOp: Op<DropoutAttributes> = {
  name: 'dropout',
  infer([x, seed], { probability }) {
    if (x!.dtype !== 'f32' || seed!.dtype !== 'u32' || !sameShape(seed!.shape, [2]))
      throw misfit('dropout', { x: x!, seed: seed! }, 'x is f32 (cast it first), the seed is two u32 words');
    if (!(probability >= 0 && probability < 1))
      throw new ShapeError(`dropout: probability ${probability} is not in [0, 1)`);
    return [x!];
  },
  decompose: ([x, seed], { probability, stream }) => [
    select(less(randomUniform(seed!, x!.shape, stream), probability), 0, mul(x!, 1 / (1 - probability))),
  ],
  reference({ inputs: [x, seed], outputs: [y], attributes: { probability, stream } }) {
    const words = new Uint32Array(x!.data.length);
    fillRandomBits(words, [seed!.data[0]!, seed!.data[1]!], stream);
    const keep = 1 / (1 - probability);
    for (let i = 0; i < words.length; i++)
      y!.data[i] = (words[i]! >>> 8) * 2 ** -24 < probability ? 0 : x!.data[i]! * keep;
  },
  overwrites: ([x]) => overwritesElements([x!], x!),
  flops: ([x]) => 2 * sizeOf(x!.shape),
  vjp: ({ inputs: [, seed], cotangents: [dy], attributes }) => [
    applyOne(dropoutOp, [dy!, seed!], attributes),
    undefined,
  ],
};

/** @param stream tells apart the dropout layers that share one seed. */
export const dropout = (x: Tensor, probability: number, seed: Tensor, stream: number): Tensor =>
  probability === 0 ? x : applyOne(dropoutOp, [x, seed], { probability, stream });
