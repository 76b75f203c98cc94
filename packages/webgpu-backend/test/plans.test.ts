/** Whole plans on the GPU: random graphs with their gradients, in both profiles, and a training step. */
import * as t from '@mindseye/tensor-core';
import { arbitraryGraph, buildGraph, graphLoss, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openDevice } from '../src/index.js';
import { distance, expectAgreement, gpu, openPoisoned, reference } from './support.js';
import { adamW, makeBatch, startTraining, train, trainingStep } from './training-step.js';

const fast = await openPoisoned('fast');

test.each([
  ['checked', gpu],
  ['fast', fast],
] as const)('random graphs, compiled and donated, with the gradients of all inputs: profile %s', async (_, device) => {
  const property = fc.asyncProperty(arbitraryGraph(), fc.boolean(), async (recipe, donates) => {
    const f = (inputs: readonly t.Tensor[]): readonly t.Tensor[] => {
      const gradients = t.grad((given: readonly t.Tensor[]) => graphLoss(buildGraph(recipe, given)))(inputs);
      return [...buildGraph(recipe, inputs), ...gradients];
    };
    const options = donates ? { donate: [0] } : {};
    const actual = await t.compile(f, { device, ...options })(recipe.inputs.map(toTensor));
    const expected = await t.compile(f, { device: reference })(recipe.inputs.map(toTensor));
    for (const [i, value] of expected.entries())
      expect(distance(await actual[i]!.data(), await value.data()), `${value.toString()} ${i}`).toBeLessThan(1e-4);
  });
  await fc.assert(property, { numRuns: 12 });
});

test('training with donated state gives the losses of the reference', async () => {
  const expected = await train(reference, 5);
  expect(distance(Float32Array.from(await train(gpu, 5)), Float32Array.from(expected))).toBeLessThan(1e-5);
  expect(expected[4]).toBeLessThan(expected[0]!);
});

test('an adapter that binds few buffers decomposes what does not fit, to the same losses', async () => {
  const narrow = await openDevice({ limits: { maxStorageBuffersPerShaderStage: 6 } });
  const losses = Float32Array.from(await train(narrow, 2));
  expect(distance(losses, Float32Array.from(await train(reference, 2)))).toBeLessThan(1e-5);
});

test('a training loop holds no more memory and compiles nothing new', async () => {
  const device = await openDevice({ profile: 'fast' });
  const step = trainingStep(device);
  let state = startTraining();
  const account = (): object => ({ ...device.memory(), pipelines: device.pipelineCount });
  let before = {};
  for (let i = 0; i < 8; i++) {
    const batch = makeBatch(i);
    const rates = adamW.hyperparameters(i + 1, 1e-2);
    const [next, loss] = await step(state, batch, rates);
    state = next;
    // What a program leaves to the collector, given back at once, so that the account is exact.
    for (const used of [...Object.values(batch), rates, loss] as t.Tensor[])
      device.release((used.storage as { buffer: t.DeviceBuffer }).buffer);
    if (i === 0) before = account();
  }
  expect(account()).toEqual(before);
});

test('a checkpointed block gives the gradient of the plain one', async () => {
  const block = (x: t.Tensor): t.Tensor => t.softmax(t.mul(t.exp(t.mul(x, 0.1)), x));
  const x = (): t.Tensor => t.reshape(t.arange(60, 'f32'), [6, 10]);
  await expectAgreement(() => {
    const loss =
      (f: (at: t.Tensor) => t.Tensor) =>
      (at: t.Tensor): t.Tensor =>
        t.sum(t.mul(f(f(at)), x()));
    return [t.grad(loss(block))(t.mul(x(), 0.01)), t.grad(loss(t.checkpoint(block)))(t.mul(x(), 0.01))];
  }, 1e-5);
});
