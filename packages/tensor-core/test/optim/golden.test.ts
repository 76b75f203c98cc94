/**
 * 50 steps of every optimiser against PyTorch in float64, to 1e-6 of the largest parameter. (PyTorch's own float32 run is
 * off by that much: the manifest has `float32_noise`.)
 */
import { describe, expect, it } from 'vitest';
import {
  type AdamWState,
  type Optimizer,
  type Tensor,
  adamW,
  createReferenceDevice,
  evaluate,
  exponentialMovingAverage,
  averageDecay,
  averageInit,
  flattenWithPaths,
  muon,
  parameterGroups,
  sgd,
  tensor,
} from '../../src/index.js';
import { type HostTensor, assertClose, readBack, toTensor } from '../../src/testing/index.js';
import { goldenJson, goldenTensors } from '../support/golden.js';

type Leaves = Readonly<Record<string, Tensor>>;

interface AdamWRun {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
}

interface Manifest {
  readonly runs: Readonly<Record<string, { readonly options: Record<string, never>; readonly leaves: string[] }>>;
  readonly groups: {
    readonly options: AdamWRun;
    readonly overrides: Record<string, { lr: number; weight_decay: number }>;
  };
  readonly ema_decay: number;
  readonly kept: readonly number[];
}

const steps = 50;
const manifest = await goldenJson<Manifest>('optimisers');
const golden = await goldenTensors('optimisers');

/** Element `step` of a golden whose first axis is time. */
function at(name: string, step: number): HostTensor {
  const { shape, data } = golden.get(name)!;
  const size = data.length / shape[0]!;
  return { shape: shape.slice(1), dtype: 'f32', data: data.slice(step * size, (step + 1) * size) };
}

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

const leavesOf = (names: readonly string[], valueOf: (name: string) => HostTensor): Leaves =>
  Object.fromEntries(names.map((name) => [name, toTensor(valueOf(name))]));

const ofAdamW = ({ betas, eps, weight_decay: weightDecay }: AdamWRun): Optimizer<Leaves, AdamWState<Leaves>> =>
  adamW({ beta1: betas[0], beta2: betas[1], epsilon: eps, weightDecay });

/** Our optimiser for each run of the oracle, and the tensors of PyTorch's state under our names. */
const optimisers: Readonly<Record<string, Optimizer<Leaves, unknown>>> = {
  adamw: ofAdamW(manifest.runs['adamw']!.options as unknown as AdamWRun),
  'adamw fast': ofAdamW(manifest.runs['adamw fast']!.options as unknown as AdamWRun),
  sgd: sgd(),
  'sgd decay': sgd({ weightDecay: 0.1 }),
  'sgd momentum': sgd({ momentum: 0.9 }),
  'sgd dampening': sgd({ momentum: 0.8, dampening: 0.3, weightDecay: 0.1 }),
  'sgd nesterov': sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.1 }),
  muon: muon(),
  'muon rms': muon({ adjustLearningRate: 'match_rms_adamw', weightDecay: 0 }),
  'muon plain': muon({ momentum: 0.8, nesterov: false, newtonSchulz: { iterations: 3 } }),
};
const stateNames = { firstMoment: 'exp_avg', secondMoment: 'exp_avg_sq', momentumBuffer: 'momentum_buffer' } as const;

/** Takes all steps and compares the parameters that the oracle kept of each leaf's run; the last state is returned. */
async function walk(
  runOf: (leaf: string) => string,
  optimiser: Optimizer<Leaves, unknown>,
  leaves: readonly string[],
  device = createReferenceDevice(),
): Promise<unknown> {
  let parameters = leavesOf(leaves, (leaf) => golden.get(`${leaf}.initial`)!);
  let state = optimiser.init(parameters);
  for (let step = 1; step <= steps; step++) {
    const gradients = leavesOf(leaves, (leaf) => at(`${leaf}.gradients`, step - 1));
    ({ parameters, state } = optimiser.update(parameters, gradients, state, optimiser.hyperparameters(step, 1e-2)));
    await evaluate({ parameters, state }, { device });
    const place = manifest.kept.indexOf(step);
    if (place < 0) continue;
    for (const leaf of leaves) {
      const expected = at(`${runOf(leaf)}.${leaf}.trajectory`, place);
      const absolute = 1e-6 * largest(expected.data);
      assertClose(await readBack(parameters[leaf]!), expected, `${leaf} after step ${step}`, { absolute });
    }
  }
  return state;
}

describe('50 steps with PyTorch', () => {
  it('knows every run of the oracle', () => {
    expect(Object.keys(manifest.runs).filter((run) => !run.startsWith('stock'))).toEqual(Object.keys(optimisers));
    expect(manifest.kept.at(-1)).toBe(steps);
    for (const { options } of Object.values(manifest.runs)) expect((options as unknown as AdamWRun).lr).toBe(1e-2);
  });

  it.each(Object.keys(optimisers))('%s', async (run) => {
    const { leaves } = manifest.runs[run]!;
    for (const decomposeFused of [false, true]) {
      const state = await walk(() => run, optimisers[run]!, leaves, createReferenceDevice({ decomposeFused }));
      const held = flattenWithPaths(state);
      const kept = [...golden.keys()].filter((name) => name.startsWith(`${run}.`) && !name.endsWith('.trajectory'));
      expect(held).toHaveLength(kept.length);
      for (const [path, leaf] of held) {
        const [moment, parameter] = path.split('.') as [keyof typeof stateNames, string];
        const expected = golden.get(`${run}.${parameter}.${stateNames[moment]}`)!;
        const absolute = 1e-6 * largest(expected.data);
        assertClose(await readBack(leaf), expected, `${run}: ${path}`, { absolute });
      }
    }
  });

  it('adamw with parameter groups of their own learning rate and decay', async () => {
    const { options, overrides } = manifest.groups;
    const { lr, weight_decay: weightDecay } = overrides['vector']!;
    const optimiser = parameterGroups<Leaves>([
      {
        name: 'vectors',
        match: (_, { shape }) => shape.length === 1,
        optimizer: ofAdamW({ ...options, weight_decay: weightDecay }),
        learningRateScale: lr / options.lr,
      },
      { name: 'matrices', match: () => true, optimizer: ofAdamW(options) },
    ]);
    await walk(() => 'adamw groups', optimiser, ['wide', 'tall', 'vector']);
  });

  it('matrices by muon, the rest by adamw', async () => {
    const optimiser = parameterGroups<Leaves>([
      { name: 'muon', match: (_, { shape }) => shape.length === 2, optimizer: optimisers['muon']! },
      { name: 'adamw', match: () => true, optimizer: optimisers['adamw']! },
    ]);
    await walk((leaf) => (leaf === 'vector' ? 'adamw' : 'muon'), optimiser, ['wide', 'tall', 'vector']);
  });

  // PyTorch orthogonalises in bfloat16: the steps agree to the 8 bits of that format, not further.
  it('muon as PyTorch ships it, to the precision of bfloat16', async () => {
    const leaves = manifest.runs['stock muon']!.leaves;
    for (const leaf of leaves) {
      const [ours, stock] = ['muon', 'stock muon'].map((run) => at(`${run}.${leaf}.trajectory`, 4).data);
      const initial = golden.get(`${leaf}.initial`)!.data;
      const moved = Array.from(ours!, (value, i) => value - initial[i]!);
      const apart = Array.from(ours!, (value, i) => value - stock![i]!);
      expect(largest(apart) / largest(moved)).toBeLessThan(2 ** -6);
      expect(largest(apart)).toBeGreaterThan(0);
    }
  });
});

describe('the exponential moving average', () => {
  it.each(['number', 'tensor'])('equals AveragedModel of PyTorch (decay as a %s)', async (form) => {
    const leaves = ['wide', 'tall', 'vector'];
    const device = createReferenceDevice();
    let average = averageInit(leavesOf(leaves, (leaf) => golden.get(`${leaf}.initial`)!));
    for (let step = 0; step < steps; step++) {
      const parameters = leavesOf(leaves, (leaf) => at(`${leaf}.gradients`, step));
      const decay = averageDecay(step, manifest.ema_decay);
      average = exponentialMovingAverage(average, parameters, form === 'number' ? decay : tensor(decay));
      await evaluate(average, { device });
      const place = manifest.kept.indexOf(step + 1);
      if (place < 0) continue;
      for (const leaf of leaves) {
        const expected = at(`average.${leaf}.trajectory`, place);
        const absolute = 1e-6 * largest(expected.data);
        assertClose(await readBack(average[leaf]!), expected, `${leaf} after ${step + 1}`, { absolute });
      }
    }
  });
});
