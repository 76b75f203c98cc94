/** Accuracy of a model in training on the task's validation split. */
import { type Condition, type TaskDefinition, evaluate } from '@mindseye/eval';
import { LatentModel, type TrainableSetup, type Trainables, modelOf } from '@mindseye/latent-reasoning';
import type { Processor } from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';
import { answerBudget, latentSolver } from '../shared/solver.js';
import { breathe } from '../shared/breathe.js';

export interface ValidationOptions {
  readonly task: TaskDefinition;
  readonly samples: number;
  readonly setup: TrainableSetup;
  readonly processor: Processor;
  readonly device: Device;
}

/** Share of right answers, 0 to 1. The model lives only as long as this call: its tensors are given up by the next step. */
export async function validationAccuracy(
  trained: Trainables,
  condition: Condition,
  { task, samples, setup, processor, device }: ValidationOptions,
): Promise<number> {
  const model = new LatentModel({ context: modelOf(setup, trained), processor, device, latentIds: setup.latentIds });
  const solver = latentSolver(model, {
    name: 'the model in training',
    maxNewTokens: answerBudget(task, 'validation', processor.tokenizer),
  });
  const { summary } = await evaluate(task, solver, {
    split: 'validation',
    limit: samples,
    condition,
    onSample: breathe,
  });
  return summary.accuracy;
}
