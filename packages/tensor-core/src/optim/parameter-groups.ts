/**
 * Parameter groups: one optimiser over a tree whose leaves have rules of their own (the `param_groups` of PyTorch).
 *
 * Each leaf belongs to the first group that matches its path. A group's optimiser sees the whole tree with null in place of
 * the leaves of other groups, so the paths of its state are the paths of the parameters:
 *
 *   state = { [group]: state of its optimiser },   hyperparameters = { [group]: those of its optimiser }
 */
import type { Tensor, TensorSpec } from '../tensor.js';
import { flattenWithPaths, mapTree } from '../tree.js';
import { type Hyperparameters, type Optimizer, requireOption } from './optimizer.js';

/** Whether a parameter belongs to a group. It is asked in every trace, so it must not change its mind. */
export type ParameterPredicate = (path: string, parameter: TensorSpec) => boolean;

export interface ParameterGroup<Parameters> {
  /** Key of the group in the state. */
  readonly name: string;
  readonly match: ParameterPredicate;
  /** With the weight decay of the group as its option. */
  readonly optimizer: Optimizer<Parameters, unknown>;
  /** The group's learning rate as a multiple of the one given; 1 when left out. */
  readonly learningRateScale?: number;
}

/** The states of the groups' optimisers by the names of the groups. */
export type GroupedState = Readonly<Record<string, unknown>>;

/**
 * @throws RangeError for no groups, two of one name, or a scale that is negative; from `init` and `update`, for a parameter
 *   that no group matches.
 */
export function parameterGroups<Parameters>(
  groups: readonly ParameterGroup<Parameters>[],
): Optimizer<Parameters, GroupedState> {
  const names = groups.map(({ name }) => name);
  if (groups.length === 0 || new Set(names).size !== names.length)
    throw new RangeError(`parameterGroups: the groups are [${names.join(', ')}]; give at least one, each its own name`);
  for (const { name, learningRateScale = 1 } of groups)
    requireOption('parameterGroups', `learningRateScale of ${name}`, learningRateScale, 0, Infinity);

  /** For each group, which paths of a tree are its own. */
  const assign = (parameters: Parameters): ReadonlyMap<string, ReadonlySet<string>> => {
    const paths = new Map(names.map((name) => [name, new Set<string>()]));
    for (const [path, leaf] of flattenWithPaths(parameters)) {
      const group = groups.find(({ match }) => match(path, leaf));
      if (!group)
        throw new RangeError(
          `parameterGroups: no group matches "${path}" (groups ${names.join(', ')}): end with a group that matches all`,
        );
      paths.get(group.name)!.add(path);
    }
    return paths;
  };
  const partOf = (tree: Parameters, paths: ReadonlySet<string>): Parameters =>
    mapTree(tree, (leaf, path) => (paths.has(path) ? leaf : null));
  const byGroup = <Value>(valueOf: (group: ParameterGroup<Parameters>) => Value): Record<string, Value> =>
    Object.fromEntries(groups.map((group) => [group.name, valueOf(group)]));

  return {
    name: `parameterGroups(${groups.map(({ name, optimizer }) => `${name}: ${optimizer.name}`).join(', ')})`,
    init(parameters) {
      const paths = assign(parameters);
      return byGroup(({ name, optimizer }) => optimizer.init(partOf(parameters, paths.get(name)!)));
    },
    hyperparameters: (step, learningRate) =>
      byGroup(({ optimizer, learningRateScale = 1 }) =>
        optimizer.hyperparameters(step, learningRate * learningRateScale),
      ),
    update(parameters, gradients, state, hyperparameters) {
      const paths = assign(parameters);
      const given = hyperparameters as Readonly<Record<string, Hyperparameters>>;
      const updates = byGroup(({ name, optimizer }) => {
        const own = paths.get(name)!;
        return optimizer.update(partOf(parameters, own), partOf(gradients, own), state[name], given[name]!);
      });
      const updated = new Map<string, Tensor>(
        Object.values(updates).flatMap((update) => flattenWithPaths(update.parameters)),
      );
      return {
        parameters: mapTree(parameters, (_, path) => updated.get(path)!),
        state: byGroup(({ name }) => updates[name]!.state),
      };
    },
  };
}

const normOrBias = /bias|layernorm|rmsnorm|(?:^|[._])norm(?:$|\.)/i;

/**
 * The usual rule for weight decay: on matrices and larger, not on vectors and scalars, nor on what is named a norm or a bias.
 *
 * The names are those of the Trainer of transformers (`get_decay_parameter_names`); the rank catches norms that have other
 * names, such as the numbered ones of vision towers.
 */
export const takesWeightDecay: ParameterPredicate = (path, { shape }) => shape.length >= 2 && !normOrBias.test(path);

/** Two groups, `decay` and `noDecay`, by `takesWeightDecay`, with optimisers made for their weight decay. */
export const weightDecayGroups = <Parameters>(
  weightDecay: number,
  optimizerWith: (weightDecay: number) => Optimizer<Parameters, unknown>,
): readonly ParameterGroup<Parameters>[] => [
  { name: 'decay', match: takesWeightDecay, optimizer: optimizerWith(weightDecay) },
  { name: 'noDecay', match: () => true, optimizer: optimizerWith(0) },
];
