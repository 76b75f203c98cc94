/**
 * Exponential moving average of parameters (torch.optim.swa_utils.AveragedModel with `get_ema_multi_avg_fn`):
 *
 *   a ← a + (1 − d)(p − a)
 *
 * The average is a tree of its own, shaped like the parameters; donate it to a compiled step and it is updated in place.
 */
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { add } from '../ops/add.js';
import { mul } from '../ops/mul.js';
import { sub } from '../ops/sub.js';
import { formatShape, sameShape } from '../shape.js';
import type { TensorLike } from '../tensor.js';
import { flatten, flattenWithPaths, mapTree, unflatten } from '../tree.js';

/** What the first update with decay 0 makes a copy of the parameters. */
export const averageInit = <Parameters>(parameters: Parameters): Parameters =>
  mapTree(parameters, ({ shape }) => full(shape, 0));

/**
 * The average after one more value of the parameters.
 *
 * @param decay d, a number or, where it changes between steps, an f32 scalar tensor made of `averageDecay`.
 * @throws ShapeError when the trees differ.
 */
export function exponentialMovingAverage<Parameters>(
  average: Parameters,
  parameters: Parameters,
  decay: TensorLike,
): Parameters {
  const rate = typeof decay === 'number' ? 1 - decay : sub(1, decay);
  const current = flatten(parameters);
  const averages = flattenWithPaths(average);
  if (averages.length !== current.length)
    throw new ShapeError(
      `exponentialMovingAverage: ${current.length} parameters, but the average has ${averages.length} tensors`,
    );
  return unflatten(
    average,
    averages.map(([path, old], i) => {
      const parameter = current[i]!;
      if (!sameShape(old.shape, parameter.shape))
        throw new ShapeError(
          `exponentialMovingAverage: ${path} is ${formatShape(parameter.shape)}, its average ${formatShape(old.shape)}`,
        );
      return add(old, mul(sub(parameter, old), rate));
    }),
  );
}

/**
 * The decay of one update. The first is 0: it copies the parameters, as AveragedModel does.
 *
 * With `warmup` an early average forgets faster, d = min(decay, (1 + n) / (10 + n)), so that it is not ruled by the first
 * values (tf.train.ExponentialMovingAverage with `num_updates`; diffusers `EMAModel`).
 *
 * @param update n: updates already made, 0 for the first.
 * @throws RangeError unless 0 ≤ decay ≤ 1 and `update` is a whole number from 0 up.
 */
export function averageDecay(
  update: number,
  decay: number,
  { warmup = false }: { readonly warmup?: boolean } = {},
): number {
  if (!Number.isInteger(update) || update < 0)
    throw new RangeError(`averageDecay: update ${update} is not a whole number from 0 up`);
  if (!(decay >= 0 && decay <= 1)) throw new RangeError(`averageDecay: decay is ${decay}; pass a number from 0 to 1`);
  if (update === 0) return 0;
  return warmup ? Math.min(decay, (1 + update) / (10 + update)) : decay;
}
