import type { DType } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { equal } from '../ops/compare.js';
import { arange } from '../ops/iota.js';
import { formatSpec } from '../ops/operands.js';
import type { Tensor } from '../tensor.js';
import { expandDims } from './axes.js';

/**
 * 1 at the class of each id and 0 elsewhere (jax.nn.one_hot, torch.nn.functional.one_hot): ids i32 [...] → [..., classes].
 * An id that is no class gives a row of zeros.
 */
export function oneHot(ids: Tensor, classes: number, dtype: DType = 'f32'): Tensor {
  if (ids.dtype !== 'i32') throw new ShapeError(`oneHot takes i32 ids, got ${formatSpec(ids)}: cast them first`);
  return cast(equal(expandDims(ids, -1), arange(classes)), dtype);
}
