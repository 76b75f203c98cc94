/** Reductions that are another reduction seen from the other side. */
import type { DType } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { logicalNot } from '../ops/logical.js';
import { max } from '../ops/max.js';
import { neg } from '../ops/neg.js';
import { formatSpec } from '../ops/operands.js';
import { sub } from '../ops/sub.js';
import type { Tensor } from '../tensor.js';

type Axes = number | readonly number[];

/** Maps of a dtype onto itself that turn its order around; each undoes itself. For whole numbers: the opposite bits. */
const reversed: Partial<Record<DType, (x: Tensor) => Tensor>> = {
  f32: neg,
  i32: (x) => sub(full([], -1, 'i32'), x),
  u32: (x) => sub(full([], 0xffffffff, 'u32'), x),
  bool: logicalNot,
};

/** Smallest element over `axes`; the highest number of the dtype over nothing, NaN if any is NaN. Ties share the gradient equally. */
export function min(x: Tensor, axes?: Axes, keepDimensions = false): Tensor {
  const reverse = reversed[x.dtype];
  if (!reverse) throw new ShapeError(`min does not compare ${formatSpec(x)}: cast it first`);
  return reverse(max(reverse(x), axes, keepDimensions));
}

function requireBool(what: string, x: Tensor): void {
  if (x.dtype !== 'bool') throw new ShapeError(`${what} takes bool, got ${formatSpec(x)}: compare it with something`);
}

/** Whether any element over `axes` is true; false over nothing. bool to bool. */
export function any(x: Tensor, axes?: Axes, keepDimensions = false): Tensor {
  requireBool('any', x);
  return max(x, axes, keepDimensions);
}

/** Whether all elements over `axes` are true; true over nothing. bool to bool. */
export function all(x: Tensor, axes?: Axes, keepDimensions = false): Tensor {
  requireBool('all', x);
  return min(x, axes, keepDimensions);
}
