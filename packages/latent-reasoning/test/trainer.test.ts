/** The trainer: what moves and what does not, the same bits for the same seed, micro-batches, frozen features, full training. */
import {
  SafetensorsReader,
  bytesSource,
  createReferenceDevice,
  safetensorsBytes,
  valueAndGrad,
} from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { Qwen2_5_VL, loadWeights, parameterShapes } from '@mindseye/qwen-vl';
import { describe, expect, test } from 'vitest';
import {
  type Method,
  type TrainerOptions,
  type Trainables,
  type TrainingExample,
  Trainer,
  answerLoss,
  batchOperands,
  initializeTrainables,
  labelCount,
  modelOf,
  sft,
} from '../src/index.js';
import { largestDifference } from './support/golden.js';
import {
  microConfig,
  microExample,
  microImage,
  microMethod,
  microSet,
  microSetup,
  microTensors,
  microWeights,
} from './support/micro.js';
import { bitsOf, fingerprint, runSteps, startTrainer } from './support/runs.js';

const device = createWasmDevice();
const optionsOf = (method: Method = microMethod, seed = 7): TrainerOptions => ({
  method,
  setup: microSetup(method),
  data: microSet(8, method.latentTokens > 0 ? undefined : []),
  device,
  seed,
});
const fullMethod: Method = {
  ...sft,
  trains: 'full',
  stages: [{ name: 'causal', mask: 'causal', epochs: 3 }],
  learningRate: 3e-3,
  batchSize: 4,
};

const byText = (one: string, two: string): number => one.localeCompare(two);

/** The whole set as one batch. */
async function wholeLoss({ setup, data }: TrainerOptions, trained: Trainables): Promise<number> {
  const examples = await Promise.all(Array.from({ length: data.size }, async (_, i) => data.example(i)));
  const labels = examples.reduce((sum, example) => sum + labelCount(example), 0);
  return answerLoss(modelOf(setup, trained), batchOperands(setup.config, examples, labels), 'causal').item(device);
}

describe('a run', () => {
  test('counts steps, epochs and stages', async () => {
    const trainer = await startTrainer({ ...optionsOf(), data: microSet(6) });
    expect(trainer.totalSteps).toBe(6);
    const events = await runSteps(trainer);
    expect(
      events.map(({ stage, epoch, step, globalStep, endOfEpoch }) => [stage, epoch, step, globalStep, endOfEpoch]),
    ).toEqual([
      ['bottleneck', 1, 1, 1, false],
      ['bottleneck', 1, 2, 2, true],
      ['bottleneck', 2, 3, 3, false],
      ['bottleneck', 2, 4, 4, true],
      ['causal', 1, 1, 5, false],
      ['causal', 1, 2, 6, true],
    ]);
    expect(
      events.every(
        ({ stageSteps, totalSteps, stage }) => totalSteps === 6 && stageSteps === (stage === 'causal' ? 2 : 4),
      ),
    ).toBe(true);
    expect(await runSteps(trainer)).toEqual([]);
  });

  test('warm-up and the moments start afresh in each stage', async () => {
    const trainer = await startTrainer(optionsOf());
    const events = await runSteps(trainer, 5);
    expect(events.map(({ stage }) => stage)).toEqual([...Array.from({ length: 4 }, () => 'bottleneck'), 'causal']);
    expect(events.map(({ learningRate }) => Number(learningRate.toFixed(12)))).toEqual([0, 1e-2, 0.75e-2, 0.25e-2, 0]);
    // From moments of 0, one gradient g makes m = 0.1 g and v = 0.001 g², hence v = 0.1 m².
    const { firstMoment, secondMoment } = trainer.state.optimizer;
    const [m, v] = [await firstMoment.rows!.data(device), await secondMoment.rows!.data(device)];
    expect(Math.hypot(...m)).toBeGreaterThan(1e-3);
    expect(
      largestDifference(
        v,
        Array.from(m, (value) => 0.1 * value * value),
      ),
    ).toBeLessThan(1e-8);
  });

  test('the same seed gives the same bits, another seed others', async () => {
    const run = async (seed: number): Promise<unknown> => {
      const trainer = await startTrainer(optionsOf(microMethod, seed));
      return fingerprint(await runSteps(trainer), trainer.state, device);
    };
    const first = await run(7);
    expect(await run(7)).toEqual(first);
    expect(await run(8)).not.toEqual(first);
  });

  test('order and dropout both follow the seed', async () => {
    const losses = async (method: Method, seed: number, size: number): Promise<number[]> => {
      const options = { ...optionsOf(method, seed), data: microSet(size) };
      const trainer = new Trainer(options, await initializeTrainables(options.setup, 1));
      return (await runSteps(trainer)).map(({ loss }) => loss);
    };
    // One example has one order: only dropout can differ. B starts at 0, so the first loss is the base model's own.
    const stages = [{ name: 'only', mask: 'causal', epochs: 3 }] as const;
    const dropping: Method = { ...microMethod, stages, warmupRatio: 0 };
    const [a, b] = [await losses(dropping, 1, 1), await losses(dropping, 2, 1)];
    expect(a[0]).toBe(b[0]);
    expect(a[1]).not.toBeCloseTo(b[1]!, 5);
    const plain: Method = { ...dropping, lora: { ...microMethod.lora, dropout: 0 } };
    expect(await losses(plain, 1, 1)).toEqual(await losses(plain, 2, 1));
    expect((await losses(plain, 1, 8))[0]).not.toBeCloseTo((await losses(plain, 2, 8))[0]!, 5);
  });

  test('micro-batches of 1 and 2 are one batch of 4, to rounding', async () => {
    const method = { ...microMethod, lora: { ...microMethod.lora, dropout: 0 } };
    const run = async (microBatchSize: number): Promise<{ losses: number[]; rows: ArrayLike<number> }> => {
      const trainer = await startTrainer({ ...optionsOf(method), data: microSet(6), microBatchSize });
      const losses = (await runSteps(trainer)).map(({ loss }) => loss);
      return { losses, rows: await trainer.state.trainables.rows!.data(device) };
    };
    const whole = await run(4);
    for (const size of [1, 2, 3]) {
      const { losses, rows } = await run(size);
      expect(largestDifference(losses, whole.losses), `losses in micro-batches of ${size}`).toBeLessThan(1e-4);
      expect(largestDifference(rows, whole.rows), `rows in micro-batches of ${size}`).toBeLessThan(1e-3);
    }
  });

  test('training lowers the loss', async () => {
    const method: Method = {
      ...microMethod,
      stages: [{ name: 'bottleneck', mask: 'bottleneck', epochs: 30 }],
      lora: { ...microMethod.lora, dropout: 0.05, rank: 4, alpha: 8 },
      learningRate: 2e-2,
    };
    const losses = (await runSteps(await startTrainer(optionsOf(method)))).map(({ loss }) => loss);
    const mean = (part: readonly number[]): number => part.reduce((sum, loss) => sum + loss, 0) / part.length;
    expect(mean(losses.slice(-4))).toBeLessThan(0.5 * mean(losses.slice(0, 4)));
  });

  test('the reference and the wasm device agree', async () => {
    const method = { ...microMethod, batchSize: 2 };
    const run = async (on: ReturnType<typeof createReferenceDevice>): Promise<number[]> =>
      (await runSteps(await startTrainer({ ...optionsOf(method), device: on }))).map(({ loss }) => loss);
    expect(largestDifference(await run(createWasmDevice()), await run(createReferenceDevice()))).toBeLessThan(1e-4);
  });

  test('stops when the signal says so, between steps', async () => {
    const controller = new AbortController();
    const trainer = await startTrainer(optionsOf());
    const seen: number[] = [];
    const consume = async (): Promise<void> => {
      for await (const { globalStep } of trainer.run(controller.signal)) {
        seen.push(globalStep);
        if (globalStep === 2) controller.abort();
      }
    };
    await expect(consume()).rejects.toThrow(/abort/i);
    expect(seen).toEqual([1, 2]);
    expect(trainer.state.progress).toEqual({ stage: 0, step: 2 });
  });

  test('an empty set and an example without an answer are refused', async () => {
    const options = optionsOf();
    await expect(startTrainer({ ...options, data: microSet(0) })).rejects.toThrow('the training set is empty');
    const { sequence, ...rest } = microExample(0);
    const unanswered: TrainingExample = { ...rest, sequence: { ...sequence, labels: sequence.labels.map(() => -100) } };
    const trainer = await startTrainer({ ...options, data: { size: 1, example: () => unanswered } });
    await expect(runSteps(trainer)).rejects.toThrow('example "example 0" has no labelled token');
  });
});

describe('lora training', () => {
  test('moves adapters and latent rows, and nothing else', async () => {
    const weights = microWeights();
    const before = await bitsOf(weights, device);
    const setup = microSetup(microMethod, weights);
    const start = await initializeTrainables(setup, 7);
    const startBits = await bitsOf(start, device);
    const trainer = new Trainer({ ...optionsOf(), setup }, start);
    await runSteps(trainer);
    expect(await bitsOf(weights, device)).toEqual(before);
    const after = await bitsOf(trainer.state.trainables, device);
    expect(after.length).toBe(2 * 2 * 7 + 1);
    after.forEach((values, i) => expect(values).not.toEqual(startBits[i]));
    expect(trainer.state.trainables.weights).toEqual({});
    expect(trainer.state.trainables.rows!.shape).toEqual([2, 16]);
  });

  test('makes and encodes each example once', async () => {
    const made = new Map<string, number>();
    const counted = (i: number): TrainingExample => {
      const example = microExample(i);
      made.set(example.id, (made.get(example.id) ?? 0) + 1);
      return example;
    };
    const trainer = await startTrainer({ ...optionsOf(), data: { size: 6, example: counted }, microBatchSize: 2 });
    await runSteps(trainer);
    expect([...made.keys()].toSorted(byText)).toEqual(Array.from({ length: 6 }, (_, i) => `example ${i}`));
    expect(new Set(made.values())).toEqual(new Set([1]));
  });

  test('direct fine-tuning has no rows', async () => {
    const method: Method = { ...microMethod, latentTokens: 0, stages: [{ name: 'causal', mask: 'causal', epochs: 1 }] };
    const trainer = await startTrainer(optionsOf(method));
    await runSteps(trainer);
    expect(trainer.state.trainables.rows).toBeNull();
  });
});

describe('full training', () => {
  test('every weight has a gradient, vision too, and moves', async () => {
    const options = optionsOf(fullMethod);
    const start = await initializeTrainables(options.setup, 7);
    const examples = await Promise.all([0, 1, 2, 3].map(async (i) => options.data.example(i)));
    const [, gradients] = valueAndGrad((trained: Trainables) =>
      answerLoss(modelOf(options.setup, trained), batchOperands(microConfig, examples, 1), 'causal'),
    )(start);
    for (const [name, gradient] of Object.entries(gradients.weights)) {
      // A key bias moves all scores of a query alike, so softmax leaves it a gradient of rounding errors only.
      const norm = Math.hypot(...(await gradient.data(device)));
      if (!name.endsWith('k_proj.bias')) expect(norm, name).toBeGreaterThan(1e-6);
    }
    const before = await bitsOf(start.weights, device);
    const first = await wholeLoss(options, { ...start, weights: microTensors() });
    const trainer = new Trainer(options, start);
    await runSteps(trainer);
    const after = await bitsOf(trainer.state.trainables.weights, device);
    expect(after.length).toBe(parameterShapes(microConfig).size);
    Object.keys(start.weights).forEach((name, i) => expect(after[i], name).not.toEqual(before[i]));
    expect(await wholeLoss(options, trainer.state.trainables)).toBeLessThan(first);
  });

  test('saved weights load again as the same model', async () => {
    const options = optionsOf(fullMethod);
    const trainer = await startTrainer(options);
    await runSteps(trainer);
    const { trainables } = trainer.state;
    const entries = await Promise.all(
      Object.entries(trainables.weights).map(async ([name, value]) => ({
        name,
        dtype: 'F32' as const,
        shape: value.shape,
        data: (await value.data(device)) as Float32Array,
      })),
    );
    const source = await SafetensorsReader.open(bytesSource(await safetensorsBytes(entries)), 'saved');
    const { weights: loaded } = await loadWeights(source, microConfig);
    const weights = loaded as Trainables['weights'];
    const reloaded = { ...trainables, weights };
    expect(Object.keys(weights).toSorted(byText)).toEqual(Object.keys(trainables.weights).toSorted(byText));
    for (const [name, value] of Object.entries(weights)) {
      expect(await value.data(device), name).toEqual(await trainables.weights[name]!.data(device));
    }
    expect(await wholeLoss(options, reloaded)).toBe(await wholeLoss(options, trainables));
  });

  test('images of several sizes, in any order and used twice, are the features of the frozen tower', async () => {
    const [small, wide, tall] = [
      microImage('small', [1, 2, 2]),
      microImage('wide', [1, 2, 6]),
      microImage('tall', [1, 6, 4]),
    ];
    const examples = [[wide, small], [tall], [small, wide, small], [microImage('other', [1, 2, 6])]].map((images, i) =>
      microExample(i, undefined, images),
    );
    const context = { config: microConfig, weights: microWeights() };
    const vision = new Qwen2_5_VL(context, device);
    const features: Float32Array[] = [];
    for (const { images } of examples)
      features.push((await (await vision.encodeImages(images))!.data(device)) as Float32Array);
    const trained = await answerLoss(context, batchOperands(microConfig, examples, 8), 'bottleneck').item(device);
    const frozen = await answerLoss(context, batchOperands(microConfig, examples, 8, features), 'bottleneck').item(
      device,
    );
    expect(trained).toBeCloseTo(frozen, 5);
    const swapped = await answerLoss(
      context,
      batchOperands(microConfig, examples, 8, [features[0]!, features[1]!, features[2]!.toReversed(), features[3]!]),
      'bottleneck',
    ).item(device);
    expect(swapped).not.toBeCloseTo(frozen, 5);
  });
});

test('a batch gathers exactly the positions before the labels', async () => {
  const examples = [microExample(0), microExample(1)];
  const { predictors, labels, sequence, lossScale } = batchOperands(microConfig, examples, 5, [
    new Float32Array(64),
    new Float32Array(64),
  ]);
  const length = sequence.inputIds.shape[1]!;
  const expected = examples.flatMap(({ sequence: { labels: own } }, b) =>
    [...own].flatMap((label, at) => (label === -100 ? [] : [[b * length + at - 1, label]])),
  );
  const [rows, targets] = [Array.from(await predictors.data(device)), Array.from(await labels.data(device))];
  expect(expected.length).toBe(examples.reduce((sum, example) => sum + labelCount(example), 0));
  expect(rows.slice(0, expected.length)).toEqual(expected.map(([row]) => row));
  expect(targets).toEqual([...expected.map(([, label]) => label), ...targets.slice(expected.length).map(() => -100)]);
  expect(await lossScale.item(device)).toBe(Math.fround(1 / 5));
});
