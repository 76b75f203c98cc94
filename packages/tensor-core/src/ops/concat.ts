import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { normalizeAxis, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { formatSpec } from './operands.js';
import { split } from './slice.js';

interface ConcatAttributes {
  readonly axis: number;
}

/** The operands one after another along `axis`; all other sizes agree (torch.cat). */
export const concatOp: Op<ConcatAttributes> = {
  name: 'concat',
  infer(inputs, { axis }) {
    const first = inputs[0];
    if (!first) throw new ShapeError('concat needs at least one tensor');
    for (const input of inputs) {
      const agrees =
        input.dtype === first.dtype &&
        input.shape.length === first.shape.length &&
        input.shape.every((size, i) => i === axis || size === first.shape[i]);
      if (!agrees)
        throw new ShapeError(
          `concat along axis ${axis}: ${formatSpec(input)} does not fit ${formatSpec(first)}; all other sizes and the dtype must agree`,
        );
    }
    const length = inputs.reduce((sum, input) => sum + input.shape[axis]!, 0);
    return [{ shape: first.shape.map((size, i) => (i === axis ? length : size)), dtype: first.dtype }];
  },
  reference({ inputs, outputs: [y], attributes: { axis } }) {
    const outer = sizeOf(y!.shape.slice(0, axis));
    const row = sizeOf(y!.shape.slice(axis));
    let column = 0;
    for (const { data, shape } of inputs) {
      const width = sizeOf(shape.slice(axis));
      for (let i = 0; i < outer; i++) y!.data.set(data.subarray(i * width, (i + 1) * width), i * row + column);
      column += width;
    }
  },
  view: (inputs) => (inputs.length === 1 ? 0 : undefined),
  flops: () => 0,
  vjp: ({ inputs, cotangents: [dy], attributes: { axis } }) =>
    split(
      dy!,
      inputs.map((input) => input.shape[axis]!),
      axis,
    ),
};

export function concat(inputs: readonly Tensor[], axis: number): Tensor {
  const [first] = inputs;
  if (!first) throw new ShapeError('concat needs at least one tensor');
  return inputs.length === 1 ? first : applyOne(concatOp, inputs, { axis: normalizeAxis(axis, first.rank, 'concat') });
}
