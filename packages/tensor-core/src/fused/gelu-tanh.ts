/**
 * Gaussian error linear unit, tanh form (torch gelu with approximate="tanh"): y = x·(1 + tanh a)/2, a = √(2/π)(x + 0.044715x³).
 *
 * Backward: dx = dy∘((1 + t)/2 + x(1 − t²)a′/2), t = tanh a, a′ = √(2/π)(1 + 0.134145x²). The argument is clamped to ±20, where
 * tanh is ±1 in 64 bits already: some drivers give NaN for larger ones.
 */
import { applyOne, requireF32 } from '../op.js';
import { add } from '../ops/add.js';
import { type NoAttributes, overwritesElements } from '../ops/elementwise.js';
import { maximum } from '../ops/maximum.js';
import { minimum } from '../ops/minimum.js';
import { mul } from '../ops/mul.js';
import { tanh } from '../ops/tanh.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

const slope = Math.sqrt(2 / Math.PI);
const cubic = 0.044715;
const largestArgument = 20;

const argument = (x: number): number =>
  Math.min(Math.max(slope * (x + cubic * x * x * x), -largestArgument), largestArgument);

export const geluTanhPair: FusedPair<NoAttributes> = defineFused<NoAttributes>({
  name: 'geluTanh',
  infer([x]) {
    requireF32('geluTanh', [x]);
    return [x!];
  },
  decompose([x]) {
    const free = mul(add(x!, mul(mul(mul(x!, x!), x!), cubic)), slope);
    const clamped = minimum(maximum(free, -largestArgument), largestArgument);
    return [mul(mul(x!, 0.5), add(tanh(clamped), 1))];
  },
  reference({ inputs: [x], outputs: [y] }) {
    const [from, to] = [x!.data, y!.data];
    for (let i = 0; i < to.length; i++) to[i] = (from[i]! / 2) * (1 + Math.tanh(argument(from[i]!)));
  },
  backward({ inputs: [x], cotangent, gradients: [dx] }) {
    const [from, dy, to] = [x!.data, cotangent.data, dx!.data];
    for (let i = 0; i < to.length; i++) {
      const at = from[i]!;
      const a = argument(at);
      const t = Math.tanh(a);
      const steepness = Math.abs(a) < largestArgument ? slope * (1 + 3 * cubic * at * at) : 0;
      to[i] = dy[i]! * ((1 + t) / 2 + (at / 2) * (1 - t * t) * steepness);
    }
  },
  overwrites: ([x]) => overwritesElements([x!], x!),
  backwardOverwrites: (operands) => overwritesElements(operands, operands[0]!),
  flops: ([x]) => 9 * sizeOf(x!.shape),
  backwardFlops: ([x]) => 19 * sizeOf(x!.shape),
});

export const geluTanh = (x: Tensor): Tensor => applyOne(geluTanhPair.forward, [x], {});
