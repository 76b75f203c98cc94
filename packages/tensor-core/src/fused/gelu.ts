/**
 * Gaussian error linear unit, exact form (Hendrycks & Gimpel 2016): y = x·Φ(x), Φ(x) = (1 + erf(x/√2))/2.
 *
 * Backward: dx = dy∘(Φ(x) + x·φ(x)), φ(x) = e^(−x²/2)/√(2π).
 */
import { applyOne, requireF32 } from '../op.js';
import { add } from '../ops/add.js';
import { type NoAttributes, overwritesElements } from '../ops/elementwise.js';
import { erf } from '../ops/erf.js';
import { mul } from '../ops/mul.js';
import { errorFunction } from '../numeric/erf.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

const normalCdf = (x: number): number => (1 + errorFunction(x * Math.SQRT1_2)) / 2;
const normalDensity = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

export const geluPair: FusedPair<NoAttributes> = defineFused<NoAttributes>({
  name: 'gelu',
  infer([x]) {
    requireF32('gelu', [x]);
    return [x!];
  },
  decompose: ([x]) => [mul(mul(x!, 0.5), add(erf(mul(x!, Math.SQRT1_2)), 1))],
  reference({ inputs: [x], outputs: [y] }) {
    const [from, to] = [x!.data, y!.data];
    for (let i = 0; i < to.length; i++) to[i] = from[i]! * normalCdf(from[i]!);
  },
  backward({ inputs: [x], cotangent, gradients: [dx] }) {
    const [from, dy, to] = [x!.data, cotangent.data, dx!.data];
    for (let i = 0; i < to.length; i++) to[i] = dy[i]! * (normalCdf(from[i]!) + from[i]! * normalDensity(from[i]!));
  },
  overwrites: ([x]) => overwritesElements([x!], x!),
  backwardOverwrites: (operands) => overwritesElements(operands, operands[0]!),
  flops: ([x]) => 5 * sizeOf(x!.shape),
  backwardFlops: ([x]) => 11 * sizeOf(x!.shape),
});

export const gelu = (x: Tensor): Tensor => applyOne(geluPair.forward, [x], {});
