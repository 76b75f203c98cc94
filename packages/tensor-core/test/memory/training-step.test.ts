/** A compiled training step with donated state holds the same bytes after 200 steps as after one. No collector is asked. */
import { describe, expect, it } from 'vitest';
import {
  type AdamWState,
  type Hyperparameters,
  type Tensor,
  adamW,
  clipByGlobalNorm,
  compile,
  createReferenceDevice,
  evaluate,
  gelu,
  linear,
  mean,
  mul,
  softmaxCrossEntropy,
  tensor,
  updateSlice,
  valueAndGrad,
} from '../../src/index.js';
import { seededValue, toTensor } from '../../src/testing/index.js';

interface Parameters {
  readonly first: Tensor;
  readonly second: Tensor;
  readonly bias: Tensor;
}

interface TrainingState {
  readonly parameters: Parameters;
  readonly optimiser: AdamWState<Parameters>;
  readonly loss: Tensor;
}

const network = ({ first, second, bias }: Parameters, x: Tensor): Tensor =>
  linear(gelu(linear(x, first)), second, bias);
const lossOf = (parameters: Parameters, x: Tensor, labels: Tensor): Tensor =>
  mean(softmaxCrossEntropy(network(parameters, x), labels));

const adamw = adamW<Parameters>();

function step(
  { parameters, optimiser }: TrainingState,
  x: Tensor,
  labels: Tensor,
  rates: Hyperparameters,
): TrainingState {
  const [loss, gradients] = valueAndGrad(lossOf)(parameters, x, labels);
  const clipped = clipByGlobalNorm(gradients, 1);
  const updated = adamw.update(parameters, clipped.gradients, optimiser, rates);
  return { parameters: updated.parameters, optimiser: updated.state, loss };
}

const inputs = seededValue([8, 6], 'f32', 'ordinary', 1);
/** The class is the largest of the first three inputs: learnable. */
const labels = Int32Array.from({ length: 8 }, (_, row) => {
  const scores = [0, 1, 2].map((column) => inputs.data[row * 6 + column]!);
  return scores.indexOf(Math.max(...scores));
});

function initial(): TrainingState {
  const scaled = (shape: readonly number[], seed: number): Tensor =>
    tensor(
      seededValue(shape, 'f32', 'ordinary', seed).data.map((value) => value * 0.3),
      shape,
    );
  const parameters = { first: scaled([16, 6], 2), second: scaled([3, 16], 3), bias: tensor(new Float32Array(3)) };
  return { parameters, optimiser: adamw.init(parameters), loss: tensor(0) };
}

describe('a training step with donated state and batches', () => {
  it('keeps its memory flat over 200 steps, and learns', async () => {
    const device = createReferenceDevice();
    const train = compile(step, { device, donate: [0, 1, 2, 3], name: 'a training step' });
    let state = initial();
    await evaluate(state, { device });
    const rootBytes: number[] = [];
    const losses: number[] = [];
    let plan: unknown;
    for (let i = 1; i <= 200; i++) {
      const batch = [toTensor(inputs), tensor(labels.slice()), adamw.hyperparameters(i, 0.02)] as const;
      const used = train.plan(state, ...batch);
      plan ??= used;
      expect(used).toBe(plan);
      state = await train(state, ...batch);
      rootBytes.push(device.memory().rootBytes);
      if (i % 50 === 0 || i === 1) losses.push(await state.loss.item());
    }
    const parameterBytes = 4 * (16 * 6 + 3 * 16 + 3);
    expect(new Set(rootBytes)).toEqual(new Set([3 * parameterBytes + 4]));
    expect(device.memory().peakBytes).toBeLessThan(3 * parameterBytes * 2 + device.memory().arenaBytes + 1000);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 4);
  });

  it('takes over the buffers of parameters and moments, so that nothing new is allocated', () => {
    const plan = compile(step, { device: createReferenceDevice(), donate: [0] }).plan(
      initial(),
      toTensor(inputs),
      tensor(labels.slice()),
      adamw.hyperparameters(1, 0.1),
    );
    expect(plan.outputBytes).toBe(0);
    expect(plan.donations).toHaveLength(10);
  });

  it('gives the same numbers as the same steps without donation, compilation or fused loops', async () => {
    const runs: number[][] = [];
    for (const decomposeFused of [false, true]) {
      const device = createReferenceDevice({ precision: 'f64', decomposeFused });
      let state = initial();
      for (let i = 1; i <= 5; i++) {
        state = step(state, toTensor(inputs), tensor(labels.slice()), adamw.hyperparameters(i, 0.02));
        await evaluate(state, { device });
      }
      runs.push([...(await state.parameters.second.data())]);
    }
    const device = createReferenceDevice({ precision: 'f64' });
    const train = compile(step, { device, donate: [0] });
    let state = initial();
    for (let i = 1; i <= 5; i++)
      state = await train(state, toTensor(inputs), tensor(labels.slice()), adamw.hyperparameters(i, 0.02));
    const compiled = [...(await state.parameters.second.data())];
    expect(compiled).toEqual(runs[0]);
    compiled.forEach((value, i) => expect(value).toBeCloseTo(runs[1]![i]!, 10));
  });
});

describe('memory()', () => {
  it('counts uploads, results, donations and the arena', async () => {
    const device = createReferenceDevice();
    expect(device.memory()).toEqual({ rootBytes: 0, arenaBytes: 0, peakBytes: 0 });
    const x = tensor(new Float32Array(100));
    const y = mul(mul(x, 2), 3);
    await evaluate([y], { device });
    expect(device.memory().rootBytes).toBe(800);
    const swallow = compile((a: Tensor, b: Tensor) => mean(mul(a, b)), { device, donate: [0, 1] });
    const result = await swallow(x, y);
    expect(device.memory().rootBytes).toBe(4);
    expect(await result.item()).toBe(0);
    expect(device.memory().peakBytes).toBeGreaterThanOrEqual(800);
    expect(device.memory().arenaBytes).toBe(
      swallow.plan(tensor(new Float32Array(100)), tensor(new Float32Array(100))).arena.byteLength,
    );
  });

  it('keeps a cache of fixed capacity flat while it fills', async () => {
    const device = createReferenceDevice();
    const append = compile((cache: Tensor, row: Tensor, position: Tensor) => updateSlice(cache, row, position, 0), {
      device,
      donate: [0, 1, 2],
    });
    let cache: Tensor = tensor(new Float32Array(32 * 4), [32, 4]);
    for (let position = 0; position < 32; position++) {
      cache = await append(cache, tensor(new Float32Array(4).fill(position), [1, 4]), tensor(Int32Array.of(position)));
      expect(device.memory().rootBytes).toBe(512);
    }
    expect([...(await cache.data())].filter((_, i) => i % 4 === 0)).toEqual(Array.from({ length: 32 }, (_, i) => i));
  });
});
