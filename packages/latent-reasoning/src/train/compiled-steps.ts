/** The three functions that a training step consists of, each compiled once per signature. */
import {
  type AdamWState,
  type Device,
  type Hyperparameters,
  type Optimizer,
  type Tensor,
  add,
  clipByGlobalNorm,
  compile,
  flatten,
  mapTree,
  valueAndGrad,
} from '@mindseye/tensor-core';
import type { Method } from '../method.js';
import type { MaskName } from '../roles.js';
import type { BatchOperands } from './batch.js';
import { answerLoss } from './loss.js';
import { type TrainableSetup, type Trainables, modelOf } from './trainables.js';

export interface CompiledSteps {
  gradients(
    trainables: Trainables,
    batch: BatchOperands,
    dropoutSeed: Tensor,
    mask: MaskName,
  ): Promise<{ loss: Tensor; gradients: Trainables }>;
  accumulate(
    total: { loss: Tensor; gradients: Trainables },
    part: { loss: Tensor; gradients: Trainables },
  ): Promise<{ loss: Tensor; gradients: Trainables }>;
  update(
    state: { trainables: Trainables; optimizer: AdamWState<Trainables> },
    gradients: Trainables,
    hyperparameters: Hyperparameters,
  ): Promise<{ trainables: Trainables; optimizer: AdamWState<Trainables>; norm: Tensor }>;
}

export function compileSteps(
  { setup, method, device }: { readonly setup: TrainableSetup; readonly method: Method; readonly device: Device },
  adamw: Optimizer<Trainables, AdamWState<Trainables>>,
): CompiledSteps {
  const lossAndGradients = valueAndGrad(
    (trainables: Trainables, batch: BatchOperands, dropoutSeed: Tensor, mask: MaskName) =>
      answerLoss(modelOf(setup, trainables, dropoutSeed), batch, mask),
  );
  return {
    gradients: compile(
      (trainables: Trainables, batch: BatchOperands, dropoutSeed: Tensor, mask: MaskName) => {
        const [loss, gradients] = lossAndGradients(trainables, batch, dropoutSeed, mask);
        return { loss, gradients };
      },
      { device, donate: [1, 2], name: 'the gradient step' },
    ),
    accumulate: compile(
      (total: { loss: Tensor; gradients: Trainables }, part: { loss: Tensor; gradients: Trainables }) => {
        const parts = flatten(part);
        let next = 0;
        return mapTree(total, (leaf) => add(leaf, parts[next++]!));
      },
      { device, donate: [0, 1], name: 'gradient accumulation' },
    ),
    update: compile(
      (
        { trainables, optimizer }: { trainables: Trainables; optimizer: AdamWState<Trainables> },
        gradients: Trainables,
        hyperparameters: Hyperparameters,
      ) => {
        const clipped = clipByGlobalNorm(gradients, method.maxGradNorm);
        const { parameters, state } = adamw.update(trainables, clipped.gradients, optimizer, hyperparameters);
        return { trainables: parameters, optimizer: state, norm: clipped.norm };
      },
      { device, donate: [0, 1, 2], name: 'the optimiser step' },
    ),
  };
}
