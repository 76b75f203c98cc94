/**
 * What an optimiser is, and the builder for those that treat every parameter by itself.
 *
 *   state₀ = init(parameters);   parameters, state ← update(parameters, gradients, state, hyperparameters(t, learning rate))
 *
 * All four are trees of tensors and `update` is a pure function, so one compiled step serves a whole run and takes over the
 * memory of the parameters and the state it is given (donate both). Numbers that change from step to step enter as the
 * tensors that `hyperparameters` makes; numbers that do not are options of the factory.
 *
 * A state holds its tensors under the paths of their parameters: `flattenWithPaths(state)` names them for a file.
 */
import { ShapeError } from '../errors.js';
import { full } from '../op.js';
import { reshape } from '../ops/reshape.js';
import { slice } from '../ops/slice.js';
import { formatShape, sameShape } from '../shape.js';
import { Tensor, tensor } from '../tensor.js';
import { flattenWithPaths, mapTree, unflatten } from '../tree.js';

/** The run-time numbers of one step: an f32 vector, or one entry for each parameter group. */
export type Hyperparameters = Tensor | { readonly [group: string]: Hyperparameters };

export interface Optimizer<Parameters, State> {
  readonly name: string;
  /** The state before the first step. Lazy: it needs no device. */
  init(parameters: Parameters): State;
  /**
   * @param step counted from 1, as in PyTorch.
   * @param learningRate of this step, any schedule applied.
   * @throws RangeError for a step that is no whole number from 1 up, or a rate that is negative or not finite.
   */
  hyperparameters(step: number, learningRate: number): Hyperparameters;
  /**
   * Parameters and state after one step.
   *
   * @param gradients shaped like `parameters`.
   * @throws ShapeError that names the parameter whose gradient or state is missing or of another shape.
   */
  update(
    parameters: Parameters,
    gradients: Parameters,
    state: State,
    hyperparameters: Hyperparameters,
  ): { readonly parameters: Parameters; readonly state: State };
}

/** One parameter with everything its update reads. */
export interface ParameterUpdate<Moment extends string> {
  readonly path: string;
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly moments: Readonly<Record<Moment, Tensor>>;
  /** f32 [n], as the optimiser's own `rates` made it. */
  readonly rates: Tensor;
}

export interface LeafwiseDefinition<Moment extends string> {
  readonly name: string;
  /** Names of the tensors kept for each parameter; all start at 0. */
  readonly moments: readonly Moment[];
  /** The run-time numbers of step `step`. */
  rates(step: number, learningRate: number): readonly number[];
  /** Throws a ShapeError for a parameter the optimiser cannot take. */
  check?(path: string, parameter: Tensor): void;
  update(given: ParameterUpdate<Moment>): readonly [parameter: Tensor, moments: Readonly<Record<Moment, Tensor>>];
}

/** An optimiser that updates each parameter from its own gradient and moments. */
export function leafwiseOptimizer<Parameters, Moment extends string>({
  name,
  moments,
  rates,
  check = () => {},
  update,
}: LeafwiseDefinition<Moment>): Optimizer<Parameters, Readonly<Record<Moment, Parameters>>> {
  const byMoment = <Value>(valueOf: (moment: Moment) => Value): Record<Moment, Value> =>
    Object.fromEntries(moments.map((moment) => [moment, valueOf(moment)])) as Record<Moment, Value>;
  const checked = (parameters: Parameters): [path: string, leaf: Tensor][] => {
    const leaves = flattenWithPaths(parameters);
    for (const [path, leaf] of leaves) {
      if (leaf.dtype !== 'f32')
        throw new ShapeError(
          `${name}: ${nameOf(path)} is ${leaf.dtype}: train an f32 copy and cast it for the forward`,
        );
      check(path, leaf);
    }
    return leaves;
  };
  return {
    name,
    init(parameters) {
      checked(parameters);
      return byMoment(() => mapTree(parameters, ({ shape }) => full(shape, 0)));
    },
    hyperparameters(step, learningRate) {
      if (!Number.isInteger(step) || step < 1)
        throw new RangeError(`${name}: step ${step} is not a whole number from 1 up; the first update is step 1`);
      requireOption(name, 'learning rate', learningRate, 0, Infinity);
      return tensor(rates(step, learningRate));
    },
    update(parameters, gradients, state, hyperparameters) {
      if (!(hyperparameters instanceof Tensor))
        throw new TypeError(`${name}.update takes what ${name}.hyperparameters(step, learningRate) gives`);
      const leaves = checked(parameters);
      const gradientOf = matching(name, 'gradients', leaves, gradients);
      const momentOf = byMoment((moment) => matching(name, moment, leaves, state[moment]));
      const updated = leaves.map(([path, parameter], i) =>
        update({
          path,
          parameter,
          gradient: gradientOf[i]!,
          moments: byMoment((moment) => momentOf[moment][i]!),
          rates: hyperparameters,
        }),
      );
      return {
        parameters: unflatten(
          parameters,
          updated.map(([parameter]) => parameter),
        ),
        state: byMoment((moment) =>
          unflatten(
            parameters,
            updated.map(([, kept]) => kept[moment]),
          ),
        ),
      };
    },
  };
}

/** Element `i` of the rates, a scalar. */
export const rateAt = (rates: Tensor, i: number): Tensor => reshape(slice(rates, 0, i, i + 1), []);

/** Throws a RangeError unless low ≤ value < high. */
export function requireOption(optimizer: string, option: string, value: number, low: number, high: number): void {
  if (!(value >= low && value < high))
    throw new RangeError(
      `${optimizer}: ${option} is ${value}; pass ${high === Infinity ? `a finite number from ${low} up` : `a number from ${low} to below ${high}`}`,
    );
}

const nameOf = (path: string): string => (path === '' ? 'the parameter' : path);

/** The leaves of `tree`, which must stand at the paths of `leaves` and have their shapes. */
function matching(
  optimizer: string,
  what: string,
  leaves: readonly (readonly [path: string, leaf: Tensor])[],
  tree: unknown,
): Tensor[] {
  const others = flattenWithPaths(tree);
  if (others.length !== leaves.length)
    throw new ShapeError(
      `${optimizer}: ${leaves.length} parameters, but the ${what} have ${others.length} tensors: pass trees of one structure`,
    );
  return leaves.map(([path, leaf], i) => {
    const [otherPath, other] = others[i]!;
    if (otherPath !== path)
      throw new ShapeError(
        `${optimizer}: the ${what} have "${otherPath}" where the parameters have "${path}": pass trees of one structure`,
      );
    if (other.dtype !== 'f32' || !sameShape(other.shape, leaf.shape))
      throw new ShapeError(
        `${optimizer}: ${nameOf(path)} is f32${formatShape(leaf.shape)}, but its entry in the ${what} is ${other.dtype}${formatShape(other.shape)}`,
      );
    return other;
  });
}
