/**
 * The supervised trainer: one loop for every method and for its baselines.
 *
 * A run is a list of stages; a stage is epochs over the examples in a seeded order, batches of `batchSize` split into
 * micro-batches whose gradients add up, one AdamW step each, with clipping, warm-up and cosine. Order and dropout are
 * functions of (seed, stage, epoch, step) alone, so a run resumed from a snapshot goes on with the same losses to the bit.
 */
import { Qwen2_5_VL, InvalidInputError } from '@mindseye/qwen-vl';
import {
  type AdamWState,
  type Device,
  type Hyperparameters,
  type Optimizer,
  RandomStream,
  type Tensor,
  adamW,
  add,
  clipByGlobalNorm,
  compile,
  createSchedule,
  evaluate,
  flatten,
  mapTree,
  seedFromString,
  tensor,
  valueAndGrad,
  warmupStepsFromRatio,
} from '@mindseye/tensor-core';
import type { Method, Stage } from '../method.js';
import type { MaskName } from '../roles.js';
import { type BatchOperands, type TrainingExample, batchOperands, labelCount } from './batch.js';
import { answerLoss } from './loss.js';
import { type TrainableSetup, type Trainables, modelOf } from './trainables.js';

/** Examples by number, made or read when asked for. The same number always gives the same example. */
export interface TrainingSet {
  readonly size: number;
  example(index: number): TrainingExample | Promise<TrainingExample>;
}

export interface TrainerOptions {
  readonly method: Method;
  readonly setup: TrainableSetup;
  readonly data: TrainingSet;
  readonly device: Device;
  readonly seed: number;
  /** Examples whose gradients are computed at once; `method.batchSize` when left out. */
  readonly microBatchSize?: number;
}

/** Where a run is. */
export interface TrainingProgress {
  readonly stage: number;
  /** Optimiser steps done in the stage. */
  readonly step: number;
}

export interface TrainingState {
  readonly progress: TrainingProgress;
  readonly trainables: Trainables;
  readonly optimizer: AdamWState<Trainables>;
}

export interface StepEvent {
  readonly stage: string;
  readonly epoch: number;
  /** Of the stage, from 1. */
  readonly step: number;
  readonly stageSteps: number;
  /** Over the whole run, from 1. */
  readonly globalStep: number;
  readonly totalSteps: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  /** True after the last step of an epoch. */
  readonly endOfEpoch: boolean;
}

export class Trainer {
  readonly #options: TrainerOptions;
  #state: TrainingState;
  readonly #features = new Map<number, Float32Array>();
  readonly #vision: Qwen2_5_VL;
  readonly #adamW: Optimizer<Trainables, AdamWState<Trainables>>;
  readonly #steps: CompiledSteps;

  /** @param start initial values for a new run, or the state of a run to go on with */
  constructor(options: TrainerOptions, start: Trainables | TrainingState) {
    if (options.data.size === 0) throw new InvalidInputError('the training set is empty: give at least one example');
    this.#options = options;
    this.#adamW = adamW({ weightDecay: options.method.weightDecay });
    this.#state =
      'progress' in start
        ? start
        : { progress: { stage: 0, step: 0 }, trainables: start, optimizer: this.#adamW.init(start) };
    this.#vision = new Qwen2_5_VL({ config: options.setup.config, weights: options.setup.weights }, options.device);
    this.#steps = compileSteps(options, this.#adamW);
  }

  /** Progress, parameters and optimiser state as of now. The tensors are given up by the next step: read them first. */
  get state(): TrainingState {
    return this.#state;
  }

  get totalSteps(): number {
    return this.#options.method.stages.reduce((sum, stage) => sum + this.#stageSteps(stage), 0);
  }

  /** Trains to the end of the last stage, telling of each optimiser step. Stop consuming to pause. */
  async *run(signal?: AbortSignal): AsyncGenerator<StepEvent, void, undefined> {
    const { method } = this.#options;
    while (this.#state.progress.stage < method.stages.length) {
      const { stage: index, step } = this.#state.progress;
      const stage = method.stages[index]!;
      if (step >= this.#stageSteps(stage)) {
        this.#state = await this.#nextStage();
        continue;
      }
      signal?.throwIfAborted();
      yield await this.#step(stage, index, step);
    }
  }

  #stageSteps(stage: Stage): number {
    return stage.epochs * this.#epochSteps();
  }

  #epochSteps(): number {
    return Math.ceil(this.#options.data.size / this.#options.method.batchSize);
  }

  async #nextStage(): Promise<TrainingState> {
    const { trainables, progress } = this.#state;
    return {
      progress: { stage: progress.stage + 1, step: 0 },
      trainables,
      optimizer: await evaluate(this.#adamW.init(trainables), { device: this.#options.device }),
    };
  }

  async #step(stage: Stage, index: number, step: number): Promise<StepEvent> {
    const { method, seed, microBatchSize = method.batchSize, device } = this.#options;
    const epochSteps = this.#epochSteps();
    const stageSteps = this.#stageSteps(stage);
    const epoch = Math.floor(step / epochSteps);
    const chosen = this.#batchIndices(index, epoch, step % epochSteps);
    const examples = await Promise.all(chosen.map(async (at) => this.#options.data.example(at)));
    const unlabelled = examples.find((example) => labelCount(example) === 0);
    if (unlabelled)
      throw new InvalidInputError(`example "${unlabelled.id}" has no labelled token: make its sequence with an answer`);
    const totalLabels = examples.reduce((sum, example) => sum + labelCount(example), 0);

    const { trainables, optimizer } = this.#state;
    let total: { loss: Tensor; gradients: Trainables } | undefined;
    for (let start = 0; start < examples.length; start += microBatchSize) {
      const part = examples.slice(start, start + microBatchSize);
      const features = method.trains === 'lora' ? await this.#featuresOf(part, chosen.slice(start)) : undefined;
      const batch = batchOperands(this.#options.setup.config, part, totalLabels, features);
      const dropoutSeed = tensor(Uint32Array.from(seedFromString(`dropout/${seed}/${index}/${step}/${start}`)));
      const result = await this.#steps.gradients(trainables, batch, dropoutSeed, stage.mask);
      total = total ? await this.#steps.accumulate(total, result) : result;
    }
    const schedule = createSchedule('cosine', {
      totalSteps: stageSteps,
      warmupSteps: warmupStepsFromRatio(stageSteps, method.warmupRatio),
    });
    const learningRate = method.learningRate * schedule(step);
    const loss = await total!.loss.item(device);
    if (!Number.isFinite(loss)) {
      throw new InvalidInputError(
        `the loss became ${loss} in step ${step + 1} of stage ${stage.name}: lower the learning rate, or go on from an earlier checkpoint with another seed`,
      );
    }
    const updated = await this.#steps.update(
      { trainables, optimizer },
      total!.gradients,
      this.#adamW.hyperparameters(step + 1, learningRate),
    );
    this.#state = {
      progress: { stage: index, step: step + 1 },
      trainables: updated.trainables,
      optimizer: updated.optimizer,
    };
    const done = method.stages.slice(0, index).reduce((sum, earlier) => sum + this.#stageSteps(earlier), 0);
    return {
      stage: stage.name,
      epoch: epoch + 1,
      step: step + 1,
      stageSteps,
      globalStep: done + step + 1,
      totalSteps: this.totalSteps,
      loss,
      learningRate,
      gradientNorm: await updated.norm.item(device),
      endOfEpoch: (step + 1) % epochSteps === 0,
    };
  }

  /** The numbers of the examples of one batch, from the epoch's own shuffle. */
  #batchIndices(stage: number, epoch: number, batch: number): number[] {
    const { data, method, seed } = this.#options;
    const order = Array.from({ length: data.size }, (_, i) => i);
    RandomStream.fromSeed(`order/${seed}/${stage}/${epoch}`).shuffle(order);
    return order.slice(batch * method.batchSize, (batch + 1) * method.batchSize);
  }

  /** Visual tokens of each example, computed once in the run. */
  async #featuresOf(examples: readonly TrainingExample[], indices: readonly number[]): Promise<Float32Array[]> {
    const all: Float32Array[] = [];
    for (const [i, example] of examples.entries()) {
      let features = this.#features.get(indices[i]!);
      if (!features) {
        const encoded = await this.#vision.encodeImages(example.images);
        features = encoded ? ((await encoded.data(this.#options.device)) as Float32Array) : new Float32Array(0);
        this.#features.set(indices[i]!, features);
      }
      all.push(features);
    }
    return all;
  }
}

interface CompiledSteps {
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

function compileSteps(
  { setup, method, device }: TrainerOptions,
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
