/** Five optimiser steps against torch, transformers and PEFT: losses, norms, gradients and the weights after each step. */
import { createReferenceDevice, valueAndGrad } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { describe, expect, test } from 'vitest';
import {
  type Method,
  type StepEvent,
  type TrainableSetup,
  Trainer,
  type Trainables,
  answerLoss,
  batchOperands,
  labelCount,
  livr,
  modelOf,
} from '../src/index.js';
import { loadAdapter } from '../src/node.js';
import {
  adapterFolder,
  distance,
  largestDifference,
  latentIds,
  peftNamed,
  readExamples,
  readJson,
  readTensors,
  readTinyModel,
} from './support/golden.js';

interface GoldenTraining {
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly lr: readonly number[];
}

const steps = 5;
const relative = (actual: number, expected: number): number => Math.abs(actual - expected) / Math.abs(expected);

describe.each([
  { variant: 'tied-head', head: 'tied' },
  { variant: 'frozen-head', head: 'frozen' },
] as const)('$variant', ({ variant, head }) => {
  test.each([
    { engine: 'reference', create: createReferenceDevice, microBatchSize: 2 },
    { engine: 'wasm', create: createWasmDevice, microBatchSize: 1 },
  ])(
    'gradients and five steps on the $engine device, micro-batches of $microBatchSize',
    async ({ create, microBatchSize }) => {
      const device = create();
      const golden = await readJson<GoldenTraining>(`training.${variant}.json`);
      const expected = await readTensors(`training.${variant}.safetensors`);
      const { context, config, processor } = await readTinyModel();
      const examples = await readExamples(processor);
      const adapter = await loadAdapter(adapterFolder);
      const setup: TrainableSetup = {
        config,
        weights: context.weights,
        trains: 'lora',
        lora: adapter.config,
        latentIds,
        head,
      };
      const method: Method = {
        ...livr,
        latentTokens: latentIds.length,
        lora: adapter.config,
        stages: [{ name: 'bottleneck', mask: 'bottleneck', epochs: steps }],
        learningRate: 1e-3,
        batchSize: examples.length,
      };
      const start: Trainables = { weights: {}, lora: adapter.lora, rows: adapter.tokenRows!.rows };

      const lossOf = valueAndGrad((trainables: Trainables) => {
        const total = examples.reduce((sum, example) => sum + labelCount(example), 0);
        return answerLoss(modelOf(setup, trainables), batchOperands(config, examples, total), 'bottleneck');
      });
      const [, gradients] = lossOf(start);
      const grads = await peftNamed(gradients, setup.lora, device);
      const gradientNames = expected.names().filter((name) => name.startsWith('grad.'));
      expect(gradientNames.length).toBe(grads.size);
      for (const name of gradientNames) {
        const reference = await expected.readFloat32(name);
        const scale = reference.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
        expect(largestDifference(grads.get(name.slice('grad.'.length))!, reference) / scale, name).toBeLessThan(2e-5);
      }

      const trainer = new Trainer(
        {
          method,
          setup,
          device,
          seed: 0,
          microBatchSize,
          data: { size: examples.length, example: (i) => examples[i]! },
        },
        start,
      );
      expect(trainer.totalSteps).toBe(steps);
      const initial = await peftNamed(start, setup.lora, device);
      const compareWeights = async (prefix: string): Promise<void> => {
        const names = expected.names().filter((name) => name.startsWith(prefix));
        expect(names.length).toBeGreaterThan(0);
        const weights = await peftNamed(trainer.state.trainables, setup.lora, device);
        for (const name of names) {
          const [own, reference] = [name.slice(prefix.length), await expected.readFloat32(name)];
          const moved = distance(reference, initial.get(own)!);
          // Half of the tensors are within 1e-5; one element whose gradient is nearly zero may go its own way.
          expect(distance(weights.get(own)!, reference) / moved, name).toBeLessThan(2e-2);
        }
      };
      const events: StepEvent[] = [];
      for await (const event of trainer.run()) {
        events.push(event);
        if (event.step > 1 && event.step < steps) await compareWeights(`after.${event.step}.`);
      }
      expect(events.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
      const [lastLoss] = lossOf(trainer.state.trainables);
      const losses = [...events.map(({ loss }) => loss), await lastLoss.item(device)];
      golden.loss.forEach((loss, step) =>
        expect(relative(losses[step]!, loss), `loss of step ${step}`).toBeLessThan(1e-5),
      );
      // Where the gradient of a row is nearly zero, AdamW magnifies rounding: torch's own f32 run is 1e-5 off its f64 run.
      golden.grad_norm.forEach((norm, step) =>
        expect(relative(events[step]!.gradientNorm, norm), `norm of step ${step}`).toBeLessThan(1e-4),
      );
      golden.lr.forEach((rate, step) => expect(events[step]!.learningRate).toBeCloseTo(rate, 12));
      await compareWeights('final.');
    },
  );
});
