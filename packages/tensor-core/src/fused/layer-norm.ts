/**
 * Layer normalisation (Ba et al. 2016) over the last axis: y = w ∘ (x − μ)·r + b with r = 1/√(var x + ε), biased variance.
 *
 * x [..., n], w [n], b [n] → y [..., n]. Backward, with n̂ = (x − μ)·r and g = dy∘w:
 * dx = r·(g − mean g − n̂·mean(g∘n̂)),  dw = Σ_rows dy∘n̂,  db = Σ_rows dy.
 */
import { apply } from '../op.js';
import { add } from '../ops/add.js';
import { mul } from '../ops/mul.js';
import { misfit, requireAllF32 } from '../ops/operands.js';
import { rsqrt } from '../ops/rsqrt.js';
import { sub } from '../ops/sub.js';
import { mean } from '../ops/sum.js';
import type { HostArray } from '../dtype.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { type FusedPair, defineFused } from './define.js';
import type { NormAttributes } from './rms-norm.js';

function moments(
  x: HostArray,
  start: number,
  width: number,
  epsilon: number,
): { readonly mu: number; readonly r: number } {
  let total = 0;
  for (let i = 0; i < width; i++) total += x[start + i]!;
  const mu = total / width;
  let squares = 0;
  for (let i = 0; i < width; i++) squares += (x[start + i]! - mu) ** 2;
  return { mu, r: 1 / Math.sqrt(squares / width + epsilon) };
}

export const layerNormPair: FusedPair<NormAttributes> = defineFused<NormAttributes>({
  name: 'layerNorm',
  infer([x, weight, bias]) {
    const width = x!.shape.at(-1);
    const operands = { x: x!, weight: weight!, bias: bias! };
    if ([weight!, bias!].some(({ shape }) => shape.length !== 1 || shape[0] !== width))
      throw misfit('layerNorm', operands, 'weight and bias are vectors as long as the last axis of x');
    requireAllF32('layerNorm', operands);
    return [x!];
  },
  decompose([x, weight, bias], { epsilon }) {
    const centred = sub(x!, mean(x!, -1, true));
    const scale = rsqrt(add(mean(mul(centred, centred), -1, true), epsilon));
    return [add(mul(mul(centred, scale), weight!), bias!)];
  },
  reference({ inputs: [x, weight, bias], outputs: [y], attributes: { epsilon } }) {
    const width = weight!.data.length;
    for (let start = 0; start < x!.data.length; start += width) {
      const { mu, r } = moments(x!.data, start, width, epsilon);
      for (let i = 0; i < width; i++)
        y!.data[start + i] = (x!.data[start + i]! - mu) * r * weight!.data[i]! + bias!.data[i]!;
    }
  },
  backward({ inputs: [x, weight], cotangent, gradients: [dx, dw, db], attributes: { epsilon } }) {
    const width = weight!.data.length;
    const [from, w, dy] = [x!.data, weight!.data, cotangent.data];
    const weightGradient = new Float64Array(width);
    const biasGradient = new Float64Array(width);
    for (let start = 0; start < from.length; start += width) {
      const { mu, r } = moments(from, start, width, epsilon);
      let meanG = 0;
      let meanGN = 0;
      for (let i = 0; i < width; i++) {
        const g = (dy[start + i]! * w[i]!) / width;
        meanG += g;
        meanGN += g * (from[start + i]! - mu) * r;
      }
      for (let i = 0; i < width; i++) {
        const normal = (from[start + i]! - mu) * r;
        const flow = dy[start + i]!;
        dx!.data[start + i] = r * (flow * w[i]! - meanG - normal * meanGN);
        weightGradient[i]! += flow * normal;
        biasGradient[i]! += flow;
      }
    }
    dw!.data.set(weightGradient);
    db!.data.set(biasGradient);
  },
  // Row by row: the means are taken before the row is written. Operands: x, weight, bias, y, dy.
  backwardOverwrites: () => [0, 3, 4].map((input) => ({ output: 0, input })),
  flops: ([x]) => 7 * sizeOf(x!.shape),
  backwardFlops: ([x]) => 18 * sizeOf(x!.shape),
});

export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, epsilon = 1e-5): Tensor =>
  apply(layerNormPair.forward, [x, weight, bias], { epsilon })[0]!;
