/**
 * The supervised trainer: one loop for every method and for its baselines.
 *
 * A run is a list of stages; a stage is epochs over the examples in a seeded order, batches of `batchSize` split into
 * micro-batches whose gradients add up, one AdamW step each, with clipping, warm-up and cosine. Order and dropout are
 * functions of (seed, stage, epoch, step) alone, so a run resumed from a snapshot goes on with the same losses to the bit.
 *
 * The loss of a step, with L labelled tokens in all and n micro-batches of Lᵢ:
 *   tokens          Σ loss of a token / L, whatever the micro-batches are
 *   micro-batches   mean over i of (Σ loss of a token of i / Lᵢ): short ones weigh more; what transformers does for models
 *                   that take no `num_items_in_batch`, Qwen2.5-VL among them
 */
import { Qwen2_5_VL, InvalidInputError } from '@mindseye/qwen-vl';
import {
  type AdamWState,
  type Device,
  type Optimizer,
  RandomStream,
  type Tensor,
  adamW,
  createSchedule,
  evaluate,
  seedFromString,
  tensor,
  warmupStepsFromRatio,
} from '@mindseye/tensor-core';
import type { Method, Stage } from '../method.js';
import { type TrainingExample, batchOperands, labelCount } from './batch.js';
import { type CompiledSteps, compileSteps } from './compiled-steps.js';
import { type EncodedExample, type ExampleCache, exampleCache } from './example-cache.js';
import type { TrainableSetup, Trainables } from './trainables.js';

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
  /** Examples in another order in each epoch, or always in that of the set; `shuffled` when left out. */
  readonly order?: 'shuffled' | 'sequential';
  /** What the loss of a step is a mean over; `tokens` when left out. */
  readonly lossMean?: LossMean;
  /** Bytes of visual tokens kept from epoch to epoch where vision is frozen; 2 GiB when left out. */
  readonly cacheBytes?: number;
}

const defaultCacheBytes = 2 ** 31;

export type LossMean = 'tokens' | 'micro-batches';

/** By what the summed loss of a micro-batch is divided. */
const lossDivisors: Readonly<Record<LossMean, (stepLabels: number, ownLabels: number, parts: number) => number>> = {
  tokens: (stepLabels) => stepLabels,
  'micro-batches': (_stepLabels, ownLabels, parts) => ownLabels * parts,
};

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
  readonly #cache: ExampleCache;
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
    this.#cache = exampleCache(options.cacheBytes ?? defaultCacheBytes);
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
    const { method, seed, microBatchSize = method.batchSize, device, lossMean = 'tokens' } = this.#options;
    const epochSteps = this.#epochSteps();
    const stageSteps = this.#stageSteps(stage);
    const epoch = Math.floor(step / epochSteps);
    const chosen = this.#batchIndices(index, epoch, step % epochSteps);
    const encoded = method.trains === 'lora' ? await this.#encoded(chosen) : undefined;
    const examples = encoded
      ? encoded.map(({ example }) => example)
      : await Promise.all(chosen.map(async (at) => this.#options.data.example(at)));
    const unlabelled = examples.find((example) => labelCount(example) === 0);
    if (unlabelled)
      throw new InvalidInputError(`example "${unlabelled.id}" has no labelled token: make its sequence with an answer`);
    const labelsOf = (part: readonly TrainingExample[]): number =>
      part.reduce((sum, example) => sum + labelCount(example), 0);
    const divisorOf = (part: readonly TrainingExample[]): number =>
      lossDivisors[lossMean](labelsOf(examples), labelsOf(part), Math.ceil(examples.length / microBatchSize));

    const { trainables, optimizer } = this.#state;
    let total: { loss: Tensor; gradients: Trainables } | undefined;
    for (let start = 0; start < examples.length; start += microBatchSize) {
      const part = examples.slice(start, start + microBatchSize);
      const features = encoded?.slice(start, start + microBatchSize).map((each) => each.features);
      const batch = batchOperands(this.#options.setup.config, part, divisorOf(part), features);
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
    const { data, method, seed, order: kind = 'shuffled' } = this.#options;
    const order = Array.from({ length: data.size }, (_, i) => i);
    if (kind === 'shuffled') RandomStream.fromSeed(`order/${seed}/${stage}/${epoch}`).shuffle(order);
    return order.slice(batch * method.batchSize, (batch + 1) * method.batchSize);
  }

  /** Examples with their visual tokens, made and encoded when they are not kept from an earlier epoch. */
  async #encoded(indices: readonly number[]): Promise<EncodedExample[]> {
    const all: EncodedExample[] = [];
    for (const index of indices) {
      let entry = this.#cache.get(index);
      if (!entry) {
        const { images, ...example } = await this.#options.data.example(index);
        const tokens = await this.#vision.encodeImages(images);
        const features = tokens ? ((await tokens.data(this.#options.device)) as Float32Array) : new Float32Array(0);
        entry = { example: { ...example, images: [] }, features };
        this.#cache.set(index, entry);
      }
      all.push(entry);
    }
    return all;
  }
}
