import { mul } from '../ops/mul.js';
import type { Tensor } from '../tensor.js';

/** y = x² (torch.square). */
export const square = (x: Tensor): Tensor => mul(x, x);
