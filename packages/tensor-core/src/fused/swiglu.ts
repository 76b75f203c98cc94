/**
 * The gate of a SwiGLU feed-forward layer (Shazeer 2020): y = silu(g)∘u with silu(g) = g·σ(g).
 *
 * Backward: dg = dy∘u∘σ(g)(1 + g(1 − σ(g))),  du = dy∘silu(g).
 */
import { ShapeError } from '../errors.js';
import { applyOne, requireF32 } from '../op.js';
import type { NoAttributes } from '../ops/elementwise.js';
import { mul } from '../ops/mul.js';
import { sigmoid } from '../ops/sigmoid.js';
import { formatShape, sameShape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

export const swigluPair: FusedPair<NoAttributes> = defineFused<NoAttributes>({
  name: 'swiglu',
  infer([gate, up]) {
    if (!sameShape(gate!.shape, up!.shape))
      throw new ShapeError(`swiglu: gate ${formatShape(gate!.shape)} and up ${formatShape(up!.shape)} differ`);
    requireF32('swiglu', [gate, up]);
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
      const s = logistic(g[i]!);
      dgate!.data[i] = dy[i]! * u[i]! * s * (1 + g[i]! * (1 - s));
      dup!.data[i] = dy[i]! * g[i]! * s;
    }
  },
});

export const swiglu = (gate: Tensor, up: Tensor): Tensor => applyOne(swigluPair.forward, [gate, up], {});

/** x·σ(x) (torch.nn.functional.silu). */
export const silu = (x: Tensor): Tensor => mul(x, sigmoid(x));
