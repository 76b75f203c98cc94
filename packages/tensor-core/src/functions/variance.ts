import { div } from '../ops/div.js';
import { sqrt } from '../ops/sqrt.js';
import { sub } from '../ops/sub.js';
import { mean, sum } from '../ops/sum.js';
import { normalizeAxes } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { square } from './square.js';

export interface VarianceOptions {
  /** Taken from the count in the denominator: 1 (the default, as in torch.var) is unbiased, 0 is the mean square deviation. */
  readonly correction?: number;
  readonly keepDimensions?: boolean;
}

/** Σ(x − mean x)² / (n − correction) over `axes`, all of them when left out. NaN or Infinity where n ≤ correction. */
export function variance(
  x: Tensor,
  axes?: number | readonly number[],
  { correction = 1, keepDimensions = false }: VarianceOptions = {},
): Tensor {
  const count = normalizeAxes(axes, x.rank, 'variance').reduce((product, axis) => product * x.shape[axis]!, 1);
  const squares = sum(square(sub(x, mean(x, axes, true))), axes, keepDimensions);
  return div(squares, Math.max(count - correction, 0));
}

/** √variance (torch.std). Its gradient is infinite where all elements are equal. */
export const standardDeviation = (
  x: Tensor,
  axes?: number | readonly number[],
  options: VarianceOptions = {},
): Tensor => sqrt(variance(x, axes, options));
