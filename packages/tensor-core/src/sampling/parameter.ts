import { ShapeError } from '../errors.js';
import { asTensor } from '../op.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { cast } from '../ops/cast.js';
import { formatSpec, misfit } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { Tensor, type TensorLike } from '../tensor.js';

/**
 * A sampling parameter as f32 [rows, 1]: one number for all rows, or a tensor with one element or one per row. A tensor is a
 * run-time value: one plan serves all its values, and rows of a batch may differ.
 */
export function rowParameter(name: string, value: TensorLike, rows: number): Tensor {
  const given = cast(asTensor(value), 'f32');
  if (given.size !== 1 && given.size !== rows)
    throw new ShapeError(`${name} is ${formatSpec(given)} for ${rows} rows: give one number, or one for each row`);
  return broadcastTo(reshape(given, [given.size, 1]), [rows, 1]);
}

/** Throws a RangeError unless a parameter that is a plain number lies where `isValid` holds; `range` says where that is. */
export function checkNumber(name: string, value: TensorLike, isValid: (value: number) => boolean, range: string): void {
  if (!(value instanceof Tensor) && !isValid(value)) throw new RangeError(`${name} is ${value}, it must be ${range}`);
}

/** Throws unless logits are f32 [rows, classes]. */
export function requireLogits(name: string, logits: Tensor): void {
  if (logits.dtype !== 'f32' || logits.rank !== 2) throw misfit(name, { logits }, 'logits are f32 [rows, classes]');
}
