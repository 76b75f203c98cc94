/**
 * RMS normalisation (Zhang & Sennrich 2019) over the last axis: y = w ∘ x·r with r = 1/√(mean x² + ε).
 *
 * x [..., n], w [n] → y [..., n], r [...] (kept for the backward pass).
 * Backward, with g = dy∘w and n̂ = x·r:  dx = r·(g − n̂·mean(g∘n̂)),  dw = Σ_rows dy∘n̂.
 */
import { apply } from '../op.js';
import { add } from '../ops/add.js';
import { mul } from '../ops/mul.js';
import { misfit, requireAllF32 } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { rsqrt } from '../ops/rsqrt.js';
import { mean } from '../ops/sum.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';

export interface NormAttributes {
  readonly epsilon: number;
}

export const rmsNormPair: FusedPair<NormAttributes> = defineFused<NormAttributes>({
  name: 'rmsNorm',
  infer([x, weight]) {
    const operands = { x: x!, weight: weight! };
    if (weight!.shape.length !== 1 || weight!.shape[0] !== x!.shape.at(-1)) {
      throw misfit('rmsNorm', operands, 'the weight is a vector as long as the last axis of x');
    }
    requireAllF32('rmsNorm', operands);
    return [x!, { shape: x!.shape.slice(0, -1), dtype: 'f32' }];
  },
  decompose([x, weight], { epsilon }) {
    const scale = rsqrt(add(mean(mul(x!, x!), -1, true), epsilon));
    return [mul(mul(x!, scale), weight!), reshape(scale, x!.shape.slice(0, -1))];
  },
  reference({ inputs: [x, weight], outputs: [y, scale], attributes: { epsilon } }) {
    const width = weight!.data.length;
    const [from, w, to] = [x!.data, weight!.data, y!.data];
    for (let row = 0; row < scale!.data.length; row++) {
      const start = row * width;
      let squares = 0;
      for (let i = 0; i < width; i++) squares += from[start + i]! * from[start + i]!;
      const r = 1 / Math.sqrt(squares / width + epsilon);
      scale!.data[row] = r;
      for (let i = 0; i < width; i++) to[start + i] = from[start + i]! * r * w[i]!;
    }
  },
  backward({ inputs: [x, weight], outputs: [, scale], cotangent, gradients: [dx, dw] }) {
    const width = weight!.data.length;
    const [from, w, dy] = [x!.data, weight!.data, cotangent.data];
    const weightGradient = new Float64Array(width);
    for (let row = 0; row < scale!.data.length; row++) {
      const start = row * width;
      const r = scale!.data[row]!;
      let projection = 0;
      for (let i = 0; i < width; i++) projection += dy[start + i]! * w[i]! * from[start + i]!;
      projection *= (r * r) / width;
      for (let i = 0; i < width; i++) {
        const at = start + i;
        const [value, flow] = [from[at]!, dy[at]!];
        dx!.data[at] = r * (flow * w[i]! - value * projection);
        weightGradient[i]! += flow * value * r;
      }
    }
    dw!.data.set(weightGradient);
  },
  // Row by row: the projection is taken before the row is written. Operands: x, weight, y, scale, dy.
  backwardOverwrites: () => [0, 2, 4].map((input) => ({ output: 0, input })),
  flops: ([x]) => 4 * sizeOf(x!.shape),
  backwardFlops: ([x]) => 10 * sizeOf(x!.shape),
});

/** @param epsilon added to the mean square; 1e-6 in Qwen2.5. */
export const rmsNorm = (x: Tensor, weight: Tensor, epsilon = 1e-6): Tensor =>
  apply(rmsNormPair.forward, [x, weight], { epsilon })[0]!;
