/** Whole plans: slab layout by itself, random graphs with their gradients, and a training step. */
import * as t from '@mindseye/tensor-core';
import { arbitraryGraph, buildGraph, graphLoss, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Location, layOutSlabs, storageOwners } from '../src/plan/slabs.js';
import { openAdapter } from '../src/adapter.js';
import { createDevice } from '../src/device.js';
import { gpuBytesOf } from '../src/element.js';
import { openDevice } from '../src/index.js';
import { distance, expectAgreement, gpu, reference } from './support.js';
import { adamW, makeBatch, startTraining, train, trainingStep } from './training-step.js';

/** A plan of steps over earlier values; one in three only renames its first input. */
const arbitraryPlan = fc
  .record({
    inputs: fc.integer({ min: 1, max: 3 }),
    steps: fc.array(
      fc.record({
        from: fc.array(fc.nat(99), { minLength: 1, maxLength: 5 }),
        sizes: fc.array(fc.nat(400), { minLength: 1, maxLength: 3 }),
        renames: fc.nat(2),
      }),
      { maxLength: 30 },
    ),
    outputs: fc.array(fc.nat(99), { minLength: 1, maxLength: 4 }),
  })
  .map(({ inputs, steps: recipes, outputs }) => {
    const values: t.TensorSpec[] = Array.from({ length: inputs }, () => ({ shape: [5], dtype: 'f32' }));
    const renaming = new Set<object>();
    const steps = recipes.map(({ from, sizes, renames }) => {
      const reads = from.map((back) => back % values.length);
      const shapes = renames === 0 ? [values[reads[0]!]!.shape] : sizes.map((size) => [size]);
      const step = {
        op: t.opTable.get('add')!,
        attributes: {},
        inputs: reads,
        outputs: shapes.map((shape) => values.push({ shape, dtype: 'f32' }) - 1),
      };
      if (renames === 0) renaming.add(step);
      return step;
    });
    const plan = {
      values,
      steps,
      inputs: Array.from({ length: inputs }, (_, i) => i),
      outputs: outputs.map((back) => back % values.length),
    };
    return { plan, owners: storageOwners(plan, (step) => renaming.has(step)) };
  });

test('slabs: live values never overlap, and no step writes into a slab that it reads', () => {
  const property = fc.property(arbitraryPlan, fc.constantFrom(4096, 2 ** 30), ({ plan, owners }, largest) => {
    const { locations, slabBytes } = layOutSlabs(plan, owners, largest);
    const span = (value: number): { slab: number; start: number; end: number } | undefined => {
      const location: Location = locations[value]!;
      return location.kind === 'slab'
        ? { slab: location.slab, start: location.offset, end: location.offset + gpuBytesOf(plan.values[value]!) }
        : undefined;
    };
    const lastRead = new Map<number, number>();
    plan.steps.forEach((step, i) =>
      [...step.inputs, ...step.outputs].forEach((value) => lastRead.set(owners[value]!, i)),
    );
    for (const value of plan.outputs) lastRead.set(owners[value]!, plan.steps.length);
    const live = new Set<number>();
    plan.steps.forEach((step, i) => {
      const written = step.outputs.filter((value) => owners[value] === value);
      for (const value of written) {
        const to = span(value)!;
        expect(to.end).toBeLessThanOrEqual(slabBytes[to.slab]!);
        expect(slabBytes[to.slab]).toBeLessThanOrEqual(largest);
        for (const source of step.inputs) expect(span(owners[source]!)?.slab).not.toBe(to.slab);
        for (const other of live) {
          const taken = span(other)!;
          expect(taken.slab !== to.slab || to.end <= taken.start || taken.end <= to.start).toBe(true);
        }
        live.add(value);
      }
      for (const value of live) if (lastRead.get(value)! <= i) live.delete(value);
    });
    plan.values.forEach((_, value) => expect(locations[value]).toEqual(locations[owners[value]!]));
  });
  fc.assert(property, { numRuns: 300 });
});

test('random graphs, compiled, with the gradients of all inputs', async () => {
  const property = fc.asyncProperty(arbitraryGraph(), async (recipe) => {
    const f = (inputs: readonly t.Tensor[]): readonly t.Tensor[] => {
      const gradients = t.grad((given: readonly t.Tensor[]) => graphLoss(buildGraph(recipe, given)))(inputs);
      return [...buildGraph(recipe, inputs), ...gradients];
    };
    const actual = await t.compile(f, { device: gpu })(recipe.inputs.map(toTensor));
    const expected = await t.compile(f, { device: reference })(recipe.inputs.map(toTensor));
    for (const [i, value] of expected.entries())
      expect(distance(await actual[i]!.data(), await value.data()), `${value.toString()} ${i}`).toBeLessThan(1e-4);
  });
  await fc.assert(property, { numRuns: 15 });
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
