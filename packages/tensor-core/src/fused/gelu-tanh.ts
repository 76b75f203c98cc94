/**
 * Gaussian error linear unit, tanh form (torch gelu with approximate="tanh"): y = x·(1 + tanh a)/2, a = √(2/π)(x + 0.044715x³).
 *
 * Computed as y = x·σ(2a), which is the same and does not cancel where tanh a is near -1, nor needs the argument clamped for
 * drivers whose tanh of a large number is NaN. Backward: dx = dy∘s(1 + x(1 − s)·2a′), s = σ(2a), a′ = √(2/π)(1 + 0.134145x²).
 */
import { applyOne, requireF32 } from '../op.js';
import { add } from '../ops/add.js';
import { type NoAttributes, overwritesElements } from '../ops/elementwise.js';
import { mul } from '../ops/mul.js';
import { sigmoid } from '../ops/sigmoid.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

/** 2a = twice·(x + cubic·x³). */
const twice = 2 * Math.sqrt(2 / Math.PI);
const cubic = 0.044715;

/** σ(2a). */
const gateAt = (x: number): number => 1 / (1 + Math.exp(-twice * (x + cubic * x * x * x)));

export const geluTanhPair: FusedPair<NoAttributes> = defineFused<NoAttributes>({
  name: 'geluTanh',
  infer([x]) {
    requireF32('geluTanh', [x]);
    return [x!];
  },
  decompose([x]) {
    const cube = mul(mul(x!, x!), x!);
    return [mul(x!, sigmoid(mul(add(x!, mul(cube, cubic)), twice)))];
  },
  reference({ inputs: [x], outputs: [y] }) {
    const [from, to] = [x!.data, y!.data];
    for (let i = 0; i < to.length; i++) to[i] = from[i]! * gateAt(from[i]!);
  },
  backward({ inputs: [x], cotangent, gradients: [dx] }) {
    const [from, dy, to] = [x!.data, cotangent.data, dx!.data];
    for (let i = 0; i < to.length; i++) {
      const at = from[i]!;
      const s = gateAt(at);
      to[i] = dy[i]! * s * (1 + at * (1 - s) * twice * (1 + 3 * cubic * at * at));
    }
  },
  overwrites: ([x]) => overwritesElements([x!], x!),
  backwardOverwrites: (operands) => overwritesElements(operands, operands[0]!),
  flops: ([x]) => 10 * sizeOf(x!.shape),
  backwardFlops: ([x]) => 18 * sizeOf(x!.shape),
});

export const geluTanh = (x: Tensor): Tensor => applyOne(geluTanhPair.forward, [x], {});
