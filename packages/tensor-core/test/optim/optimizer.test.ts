/** What holds of every optimiser: pure updates of any tree, state by path, donation, errors that name the parameter. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type GroupedState,
  type Hyperparameters,
  type Optimizer,
  ShapeError,
  type Tensor,
  adamW,
  adamWDefaults,
  compile,
  createReferenceDevice,
  evaluate,
  flatten,
  flattenWithPaths,
  full,
  mapTree,
  muon,
  parameterGroups,
  sgd,
  takesWeightDecay,
  tensor,
  weightDecayGroups,
} from '../../src/index.js';
import { arbitrarySeed, seededValue, toTensor } from '../../src/testing/index.js';

interface Network {
  readonly embedding: Tensor;
  readonly layers: readonly { readonly weight: Tensor; readonly norm: { readonly weight: Tensor } }[];
  readonly note: string;
}

const shapes = { embedding: [5, 3], weight: [4, 3], norm: [4] } as const;

/** A tree of nested arrays and objects with numbers of everyday size. */
function network(seed: number): Network {
  const value = (shape: readonly number[], place: number): Tensor =>
    toTensor(seededValue(shape, 'f32', 'ordinary', seed + place));
  return {
    embedding: value(shapes.embedding, 0),
    layers: [1, 3].map((place) => ({
      weight: value(shapes.weight, place),
      norm: { weight: value(shapes.norm, place + 1) },
    })),
    note: 'not a tensor',
  };
}

const paths = ['embedding', 'layers.0.weight', 'layers.0.norm.weight', 'layers.1.weight', 'layers.1.norm.weight'];
const isHidden = (path: string): boolean => /layers\.\d+\.weight/.test(path);

/** Every optimiser that takes such a tree. */
const optimisers: Readonly<Record<string, () => Optimizer<Network, unknown>>> = {
  adamW: () => adamW(),
  sgd: () => sgd(),
  'sgd with momentum': () => sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.01 }),
  'weight decay groups': () => parameterGroups(weightDecayGroups(0.1, (weightDecay) => adamW({ weightDecay }))),
  'muon and adamW': () =>
    parameterGroups<Network>([
      { name: 'hidden', match: isHidden, optimizer: muon() },
      { name: 'rest', match: () => true, optimizer: adamW(), learningRateScale: 0.1 },
    ]),
};

const numbersOf = async (tree: unknown): Promise<number[][]> => {
  const all: number[][] = [];
  for (const leaf of flatten(tree)) all.push([...(await leaf.data())]);
  return all;
};

async function walk(optimiser: Optimizer<Network, unknown>, seed: number, steps: number): Promise<number[][]> {
  const device = createReferenceDevice();
  let parameters = network(seed);
  let state = optimiser.init(parameters);
  for (let step = 1; step <= steps; step++) {
    const rates = optimiser.hyperparameters(step, 0.1 / step);
    ({ parameters, state } = optimiser.update(parameters, network(seed + 100 * step), state, rates));
    await evaluate({ parameters, state }, { device });
  }
  return numbersOf({ parameters, state });
}

describe.each(Object.keys(optimisers))('%s', (name) => {
  const make = optimisers[name]!;

  it('compiled with donated state: the same numbers, no memory but the state', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrarySeed(), async (seed) => {
        const device = createReferenceDevice();
        const optimiser = make();
        const step = compile(
          (
            { parameters, state }: { parameters: Network; state: unknown },
            gradients: Network,
            hyperparameters: Hyperparameters,
          ) => optimiser.update(parameters, gradients, state, hyperparameters),
          { device, donate: [0, 1, 2], name: 'the step' },
        );
        const parameters = network(seed);
        let current = { parameters, state: optimiser.init(parameters) };
        for (let i = 1; i <= 3; i++) {
          const given = current;
          current = await step(given, network(seed + 100 * i), optimiser.hyperparameters(i, 0.1 / i));
          expect(device.memory().rootBytes).toBe(flatten(current).reduce((total, leaf) => total + leaf.byteLength, 0));
          await expect(given.parameters.embedding.data()).rejects.toThrow(/donated to the step/);
        }
        expect(current.parameters.note).toBe('not a tensor');
        expect(await numbersOf(current)).toEqual(await walk(optimiser, seed, 3));
      }),
      { numRuns: 5 },
    );
  });

  it('keeps its state under the paths of the parameters', () => {
    const optimiser = make();
    const state = optimiser.init(network(1));
    const names = flattenWithPaths(state).map(([path]) => path);
    expect(new Set(names).size).toBe(names.length);
    for (const path of names) expect(paths.some((end) => path.endsWith(`.${end}`))).toBe(true);
    const next = optimiser.update(network(1), network(2), state, optimiser.hyperparameters(1, 0.1)).state;
    expect(flattenWithPaths(next).map(([path]) => path)).toEqual(names);
  });

  it('changes nothing at learning rate 0', async () => {
    const optimiser = make();
    const { parameters } = optimiser.update(
      network(5),
      network(6),
      optimiser.init(network(5)),
      optimiser.hyperparameters(1, 0),
    );
    await evaluate(parameters, { device: createReferenceDevice() });
    expect(await numbersOf(parameters)).toEqual(await numbersOf(network(5)));
  });

  it('takes empty tensors', async () => {
    const optimiser = make();
    const empty = (): Network => ({ ...network(1), layers: [], embedding: tensor(new Float32Array(0), [0, 3]) });
    const { parameters } = optimiser.update(
      empty(),
      empty(),
      optimiser.init(empty()),
      optimiser.hyperparameters(1, 0.1),
    );
    expect((await parameters.embedding.data(createReferenceDevice())).length).toBe(0);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses step %s', (step) => {
    expect(() => make().hyperparameters(step, 0.1)).toThrow(/step .* is not a whole number from 1 up/);
  });

  it.each([-0.1, Number.NaN, Infinity])('refuses the learning rate %s', (rate) => {
    expect(() => make().hyperparameters(1, rate)).toThrow(/learning rate is .*; pass a finite number from 0 up/);
  });

  it('names the parameter whose gradient does not fit', () => {
    const optimiser = make();
    const given = network(1);
    const update = (gradients: Network) => () =>
      optimiser.update(given, gradients, optimiser.init(given), optimiser.hyperparameters(1, 0.1));
    const [first, second] = given.layers as [Network['layers'][0], Network['layers'][0]];
    const other = { ...second, norm: { weight: full([5], 0) } };
    expect(update({ ...given, layers: [first, other] })).toThrow(ShapeError);
    expect(update({ ...given, layers: [first, other] })).toThrow(
      /layers\.1\.norm\.weight is f32\[4\], but its entry in the gradients is f32\[5\]/,
    );
    expect(update({ ...given, layers: [first] })).toThrow(/parameters, but the gradients have \d tensors/);
    const renamed = { layers: given.layers, note: '', zembedding: given.embedding } as unknown as Network;
    expect(update(renamed)).toThrow(/where the parameters have|but the gradients have/);
    const half = { ...given, embedding: full([5, 3], 0, 'bf16') };
    expect(() => optimiser.init(half)).toThrow(/embedding is bf16: train an f32 copy/);
  });
});

describe('options', () => {
  it('of AdamW are those of PyTorch', async () => {
    expect(adamWDefaults).toEqual({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 });
    const rates = await (adamW().hyperparameters(1, 0.5) as Tensor).data();
    [0.5, 0.1, 0.001].forEach((value, i) => expect(rates[i]).toBeCloseTo(value, 7));
  });

  it.each([
    ['beta of 1', () => adamW({ beta1: 1 }), /adamW: beta1 is 1; pass a number from 0 to below 1/],
    ['beta below 0', () => adamW({ beta2: -0.1 }), /adamW: beta2 is -0.1/],
    ['endless epsilon', () => adamW({ epsilon: Infinity }), /adamW: epsilon is Infinity; pass a finite number/],
    ['negative decay', () => sgd({ weightDecay: -1 }), /sgd: weightDecay is -1/],
    ['no number', () => sgd({ momentum: Number.NaN }), /sgd: momentum is NaN/],
    ['endless dampening', () => sgd({ dampening: Infinity }), /sgd: dampening is Infinity/],
    ['Nesterov without momentum', () => sgd({ nesterov: true }), /Nesterov momentum needs a momentum above 0/],
    [
      'Nesterov with dampening',
      () => sgd({ nesterov: true, momentum: 0.9, dampening: 0.1 }),
      /no dampening, got 0.9 and 0.1/,
    ],
    ['endless iterations', () => muon({ newtonSchulz: { iterations: 100 } }), /iterations is 100; pass a whole number/],
    ['unknown adjustment', () => muon({ adjustLearningRate: 'toString' as 'original' }), /use one of original, match/],
    [
      'foreign rates',
      () => adamW().update(full([1], 0), full([1], 0), adamW<Tensor>().init(full([1], 0)) as never, {}),
      /adamW.update takes what adamW.hyperparameters/,
    ],
    ['a vector for muon', () => muon().init({ bias: full([4], 0) }), /muon: bias has shape \[4\], and only matrices/],
    ['a stack for muon', () => muon().init([full([2, 3, 3], 0)]), /muon: 0 has shape \[2, 3, 3\].*parameterGroups/],
    ['no groups', () => parameterGroups([]), /the groups are \[\]; give at least one/],
    [
      'two groups of one name',
      () => parameterGroups([1, 2].map(() => ({ name: 'a', match: () => true, optimizer: sgd() }))),
      /the groups are \[a, a\]/,
    ],
    [
      'a negative scale',
      () => parameterGroups([{ name: 'a', match: () => true, optimizer: sgd(), learningRateScale: -1 }]),
      /learningRateScale of a is -1/,
    ],
    [
      'a parameter of no group',
      () => parameterGroups([{ name: 'a', match: () => false, optimizer: sgd() }]).init({ w: full([1], 0) }),
      /no group matches "w" \(groups a\): end with a group that matches all/,
    ],
  ])('refuses: %s', (_, act, message) => {
    expect(act).toThrow(message);
  });
});

describe('parameter groups', () => {
  it('one group is its optimiser; a scale is a scaled learning rate', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrarySeed(), fc.constantFrom(0.25, 1, 4), async (seed, scale) => {
        const grouped = parameterGroups<Network>([
          { name: 'all', match: () => true, optimizer: adamW(), learningRateScale: scale },
        ]);
        const alone = adamW<Network>();
        const scaled: Optimizer<Network, unknown> = {
          ...alone,
          update: alone.update as Optimizer<Network, unknown>['update'],
          hyperparameters: (step, rate) => alone.hyperparameters(step, scale * rate),
        };
        expect(await walk(grouped, seed, 2)).toEqual(await walk(scaled, seed, 2));
      }),
      { numRuns: 10 },
    );
  });

  it('the first match decides, and a group may stay empty', () => {
    const groups = parameterGroups<Network>([
      { name: 'none', match: (path) => path === 'missing', optimizer: muon() },
      { name: 'norms', match: (path) => path.includes('norm'), optimizer: sgd() },
      { name: 'rest', match: () => true, optimizer: sgd({ momentum: 0.5 }) },
    ]);
    const state: GroupedState = groups.init(network(1));
    expect(flattenWithPaths(state).map(([path]) => path)).toEqual(
      paths.filter((path) => !path.includes('norm')).map((path) => `rest.momentumBuffer.${path}`),
    );
  });

  it('decay goes to matrices that are no norm and no bias', () => {
    const spec = (...shape: number[]): Tensor => full(shape, 0);
    const decayed: [string, Tensor][] = [
      ['model.layers.0.self_attn.q_proj.weight', spec(4, 4)],
      ['lora.model.layers.0.mlp.up_proj.a', spec(2, 4)],
      ['patch_embed.proj.weight', spec(4, 3, 2, 2, 2)],
      ['normalizer.weight', spec(4, 4)],
    ];
    const spared: [string, Tensor][] = [
      ['model.layers.0.input_layernorm.weight', spec(4)],
      ['model.visual.blocks.0.norm1.weight', spec(4)],
      ['model.visual.merger.ln_q.weight', spec(4)],
      ['model.layers.0.self_attn.q_proj.bias', spec(4)],
      ['model.norm.weight', spec(1, 4)],
      ['q_norm.weight', spec(1, 4)],
      ['head.bias', spec(1, 4)],
      ['scale', spec()],
    ];
    for (const [path, leaf] of decayed) expect(takesWeightDecay(path, leaf), path).toBe(true);
    for (const [path, leaf] of spared) expect(takesWeightDecay(path, leaf), path).toBe(false);
  });

  it('without gradients only what decays shrinks', async () => {
    const optimiser = parameterGroups(weightDecayGroups<Network>(0.5, (weightDecay) => sgd({ weightDecay })));
    const given = network(3);
    const zeros = mapTree(given, ({ shape }) => full(shape, 0));
    const { parameters } = optimiser.update(given, zeros, optimiser.init(given), optimiser.hyperparameters(1, 0.5));
    await evaluate(parameters, { device: createReferenceDevice() });
    const [before, after] = [await numbersOf(given), await numbersOf(parameters)];
    paths.forEach((path, i) => {
      const factor = path.includes('norm') ? 1 : 0.75;
      after[i]!.forEach((value, j) => expect(value).toBeCloseTo(factor * before[i]![j]!, 6));
    });
  });
});
