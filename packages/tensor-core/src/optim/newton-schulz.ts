/**
 * The nearest semi-orthogonal matrix, roughly, by Newton–Schulz iteration of a quintic polynomial:
 *
 *   X₀ = G / max(‖G‖_F, ε),   A = XXᵀ,   X ← aX + (bA + cA²)X,   or A = XᵀX and X(bA + cA²) for a tall G
 *
 * With G = USVᵀ the result is US'Vᵀ: each iteration sends every singular value s to as + bs³ + cs⁵, and five of them with
 * the default coefficients bring all but the smallest into 0.7 … 1.2. It never settles at 1: the coefficients are chosen for
 * a steep start instead. G [m, n] → [m, n]; A is square of the shorter side.
 *
 * Source: K. Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024); torch.optim.Muon, which iterates
 * in bfloat16 where this iterates in f32.
 */
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { add } from '../ops/add.js';
import { div } from '../ops/div.js';
import { matmul } from '../ops/matmul.js';
import { maximum } from '../ops/maximum.js';
import { mul } from '../ops/mul.js';
import { sqrt } from '../ops/sqrt.js';
import { sum } from '../ops/sum.js';
import { formatShape } from '../shape.js';
import type { Tensor } from '../tensor.js';

export interface NewtonSchulzOptions {
  /** a, b, c of the polynomial. */
  readonly coefficients: readonly [number, number, number];
  readonly iterations: number;
  /** ε: smallest norm divided by. */
  readonly epsilon: number;
}

/** Those of torch.optim.Muon. */
export const newtonSchulzDefaults: NewtonSchulzOptions = {
  coefficients: [3.4445, -4.775, 2.0315],
  iterations: 5,
  epsilon: 1e-7,
};

/** @throws ShapeError unless `matrix` has two axes. */
export function orthogonalize(matrix: Tensor, options: Partial<NewtonSchulzOptions> = {}): Tensor {
  if (matrix.rank !== 2)
    throw new ShapeError(
      `orthogonalize takes a matrix, got shape ${formatShape(matrix.shape)}: reshape it to two axes`,
    );
  const {
    coefficients: [a, b, c],
    iterations,
    epsilon,
  } = { ...newtonSchulzDefaults, ...options };
  const [rows, columns] = matrix.shape as [number, number];
  const tall = rows > columns;
  const norm = sqrt(sum(mul(matrix, matrix)));
  let x = div(matrix, maximum(norm, full([], epsilon)));
  for (let i = 0; i < iterations; i++) {
    const gram = matmul(x, x, { transposeA: tall, transposeB: !tall });
    const polynomial = add(mul(gram, b), mul(matmul(gram, gram), c));
    x = add(mul(x, a), tall ? matmul(x, polynomial) : matmul(polynomial, x));
  }
  return x;
}
