import { maximum } from '../ops/maximum.js';
import { minimum } from '../ops/minimum.js';
import type { Tensor, TensorLike } from '../tensor.js';

/** x kept between `low` and `high`, both broadcast (torch.clamp); the gradient is 1 inside and on the bounds, 0 outside. */
export const clamp = (x: Tensor, low: TensorLike, high: TensorLike): Tensor => minimum(maximum(x, low), high);
