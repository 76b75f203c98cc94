/**
 * The gate of a SwiGLU feed-forward layer (Shazeer 2020): y = silu(g)∘u with silu(g) = g·σ(g).
 *
 * Backward: dg = dy∘u∘σ(g)(1 + g(1 − σ(g))),  du = dy∘silu(g).
 */
import { applyOne } from '../op.js';
import { type NoAttributes, overwritesElements } from '../ops/elementwise.js';
import { mul } from '../ops/mul.js';
import { misfit, requireAllF32 } from '../ops/operands.js';
import { sigmoid } from '../ops/sigmoid.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

export const swigluPair: FusedPair<NoAttributes> = defineFused<NoAttributes>({
  name: 'swiglu',
  infer([gate, up]) {
    const operands = { gate: gate!, up: up! };
    if (!sameShape(gate!.shape, up!.shape)) throw misfit('swiglu', operands, 'gate and up have one shape');
    requireAllF32('swiglu', operands);
    return [gate!];
  },
  decompose: ([gate, up]) => [mul(mul(gate!, sigmoid(gate!)), up!)],
  reference({ inputs: [gate, up], outputs: [y] }) {
    const [g, u, to] = [gate!.data, up!.data, y!.data];
    for (let i = 0; i < to.length; i++) to[i] = g[i]! * logistic(g[i]!) * u[i]!;
  },
  backward({ inputs: [gate, up], cotangent, gradients: [dgate, dup] }) {
    const [g, u, dy] = [gate!.data, up!.data, cotangent.data];
    for (let i = 0; i < dy.length; i++) {
      // All read before any is written: the gradients may lie on the operands.
      const [gateAt, upAt, flow] = [g[i]!, u[i]!, dy[i]!];
      const s = logistic(gateAt);
      dgate!.data[i] = flow * upAt * s * (1 + gateAt * (1 - s));
      dup!.data[i] = flow * gateAt * s;
    }
  },
  overwrites: ([gate, up]) => overwritesElements([gate!, up!], gate!),
  backwardOverwrites: (operands) => [0, 1].flatMap((gradient) => overwritesElements(operands, operands[0]!, gradient)),
  flops: ([gate]) => 6 * sizeOf(gate!.shape),
  backwardFlops: ([gate]) => 12 * sizeOf(gate!.shape),
});

export const swiglu = (gate: Tensor, up: Tensor): Tensor => applyOne(swigluPair.forward, [gate, up], {});

/** x·σ(x) (torch.nn.functional.silu). */
export const silu = (x: Tensor): Tensor => mul(x, sigmoid(x));
