/** Axes of size 1 put in and taken out, and tensors put side by side along a new axis. Nothing but `stack` moves data. */
import { ShapeError } from '../errors.js';
import { concat } from '../ops/concat.js';
import { formatSpec } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { normalizeAxes, normalizeAxis, sameShape } from '../shape.js';
import type { Tensor } from '../tensor.js';

/** x with new axes of size 1, which have the places `axes` in the result (jnp.expand_dims, torch.unsqueeze). */
export function expandDims(x: Tensor, axes: number | readonly number[]): Tensor {
  const list = typeof axes === 'number' ? [axes] : axes;
  const places = new Set(normalizeAxes(list, x.rank + list.length, 'expandDims'));
  if (places.size !== list.length) throw new ShapeError(`expandDims: axes [${list.join(', ')}] name one axis twice`);
  const sizes = [...x.shape];
  const rank = x.rank + list.length;
  return reshape(
    x,
    Array.from({ length: rank }, (_, axis) => (places.has(axis) ? 1 : sizes.shift()!)),
  );
}

/** x without the given axes, or without all axes of size 1 (torch.squeeze, but an axis of another size is an error). */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  const gone = new Set(
    axes === undefined
      ? x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []))
      : normalizeAxes(axes, x.rank, 'squeeze'),
  );
  for (const axis of gone)
    if (x.shape[axis] !== 1)
      throw new ShapeError(`squeeze: axis ${axis} of ${formatSpec(x)} has size ${x.shape[axis]}, not 1`);
  return reshape(
    x,
    x.shape.filter((_, axis) => !gone.has(axis)),
  );
}

/** Tensors of one shape side by side along a new axis (torch.stack). */
export function stack(inputs: readonly Tensor[], axis = 0): Tensor {
  const [first] = inputs;
  if (!first) throw new ShapeError('stack needs at least one tensor');
  const other = inputs.find(({ shape, dtype }) => dtype !== first.dtype || !sameShape(shape, first.shape));
  if (other) throw new ShapeError(`stack: ${formatSpec(other)} is not like ${formatSpec(first)}`);
  const place = normalizeAxis(axis, first.rank + 1, 'stack');
  return concat(
    inputs.map((input) => expandDims(input, place)),
    place,
  );
}
