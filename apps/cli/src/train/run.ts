/**
 * One training run, from a base model to a saved result.
 *
 *   for each step:  log line · at the end of an epoch validation, and the best state so far to best.safetensors ·
 *                   when due checkpoint.safetensors
 *
 * A checkpoint is written after the validation of its step, and every file is whole or not there, so a run that is stopped
 * at any moment goes on from its last checkpoint and ends in the same files to the bit.
 */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  type StepEvent,
  Trainer,
  type Trainables,
  type TrainingSet,
  type TrainingState,
  initializeTrainables,
} from '@mindseye/latent-reasoning';
import { loadCheckpoint, saveCheckpoint } from '@mindseye/latent-reasoning/node';
import type { Method, TrainableSetup } from '@mindseye/latent-reasoning';
import type { Device } from '@mindseye/tensor-core';
import { breathe } from '../shared/breathe.js';
import { CommandError, InterruptedError } from '../shared/errors.js';
import type { Progress } from '../shared/progress.js';
import { type TrainingIdentity, checkSameRun } from './identity.js';
import { TrainingLog, type ValidationLine } from './training-log.js';

export const runFiles = {
  log: 'log.jsonl',
  checkpoint: 'checkpoint.safetensors',
  best: 'best.safetensors',
  /** Written last: its presence says that the run is complete. */
  record: 'training.json',
} as const;

export interface RunOptions {
  readonly folder: string;
  readonly method: Method;
  readonly setup: TrainableSetup;
  readonly data: TrainingSet;
  readonly device: Device;
  readonly seed: number;
  readonly microBatchSize: number;
  readonly identity: TrainingIdentity;
  readonly resume: boolean;
  /** Optimiser steps between checkpoints; an epoch when left out. */
  readonly saveEvery?: number;
  /** Accuracy of the model as trained so far, under the mask of a stage; left out when nothing is validated. */
  readonly validate?: Validate;
  readonly interrupted: AbortSignal;
  readonly startProgress: (total: number) => Progress;
}

export type Validate = (
  trained: Trainables,
  condition: 'standard' | 'bottleneck',
) => Promise<{ readonly accuracy: number; readonly samples: number }>;

export interface RunResult {
  /** Of the best validated epoch, or of the last step where nothing is validated. */
  readonly trained: Trainables;
  readonly steps: number;
  readonly finalLoss: number | null;
  /** Validation of the saved epoch. */
  readonly best: ValidationLine | null;
  readonly log: readonly ValidationLine[];
}

export async function runTraining(options: RunOptions): Promise<RunResult> {
  const { folder, setup, seed, identity, device } = options;
  const start = await startOf(options, await initializeTrainables(setup, seed, device));
  const trainer = new Trainer(options, start);
  const stepsDone = 'progress' in start ? stepsBefore(options, start) : 0;
  const log = await TrainingLog.open(path.join(folder, runFiles.log), stepsDone);
  const progress = options.startProgress(trainer.totalSteps);
  progress.update(stepsDone);
  const save = (file: string): Promise<void> =>
    saveCheckpoint(path.join(folder, file), trainer.state, identity, device);
  try {
    for await (const event of trainer.run()) {
      await record(event, options, trainer, log, save);
      progress.update(event.globalStep, `${event.stage} epoch ${event.epoch} loss ${event.loss.toFixed(4)}`);
      const stopping = options.interrupted.aborted && event.globalStep < event.totalSteps;
      if (stopping || isSaveDue(event, options)) await save(runFiles.checkpoint);
      if (stopping)
        throw new InterruptedError(
          `interrupted after step ${event.globalStep} of ${event.totalSteps}; the same command with --resume goes on from there`,
        );
      await breathe();
    }
    const best = bestOf(log, options);
    const trained = best
      ? (await loadCheckpoint(path.join(folder, runFiles.best), trainer.state.trainables, identity)).trainables
      : trainer.state.trainables;
    const lastStep = log.lines.findLast((line) => line.kind === 'step');
    return { trained, steps: trainer.totalSteps, finalLoss: lastStep?.loss ?? null, best, log: validations(log) };
  } finally {
    progress.stop();
    await log.close();
  }
}

/** Removes what only an unfinished run needs. */
export const removeRunState = (folder: string): Promise<void> =>
  removeFiles(folder, [runFiles.checkpoint, runFiles.best]);

/** Makes a folder ready for a run from the start: nothing in it says that a run is going on, or is complete. */
export async function prepareFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await removeFiles(folder, [runFiles.checkpoint, runFiles.best, runFiles.record]);
}

async function removeFiles(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(path.join(folder, name), { force: true });
}

async function startOf(
  { resume, folder, identity }: RunOptions,
  fresh: Trainables,
): Promise<Trainables | TrainingState> {
  if (!resume) return fresh;
  const file = path.join(folder, runFiles.checkpoint);
  await checkSameRun(file, identity);
  return loadCheckpoint(file, fresh, identity);
}

const epochSteps = ({ data, method }: RunOptions): number => Math.ceil(data.size / method.batchSize);

function stepsBefore(options: RunOptions, { progress }: TrainingState): number {
  const earlier = options.method.stages.slice(0, progress.stage).reduce((sum, { epochs }) => sum + epochs, 0);
  return earlier * epochSteps(options) + progress.step;
}

const isSaveDue = (event: StepEvent, { saveEvery }: RunOptions): boolean =>
  saveEvery === undefined ? event.endOfEpoch : event.globalStep % saveEvery === 0;

/** Logs a step, and validates where the step ends an epoch that is to be validated. */
async function record(
  event: StepEvent,
  options: RunOptions,
  trainer: Trainer,
  log: TrainingLog,
  save: (file: string) => Promise<void>,
): Promise<void> {
  const { stage, epoch, step, globalStep, loss, learningRate, gradientNorm } = event;
  if (!Number.isFinite(gradientNorm)) {
    throw new CommandError(
      `training diverged at step ${globalStep} (gradient norm ${gradientNorm}); lower --learning-rate, or check the weights it started from`,
    );
  }
  await log.append({ kind: 'step', stage, epoch, step, globalStep, loss, learningRate, gradientNorm });
  const condition = conditionAfter(event, options);
  if (!condition || !options.validate) return;
  const earlier = bestOf(log, options);
  const { accuracy, samples } = await options.validate(trainer.state.trainables, condition);
  await log.append({ kind: 'validation', stage, epoch, globalStep, condition, samples, accuracy });
  if (condition === 'standard' && accuracy > (earlier?.accuracy ?? -1)) await save(runFiles.best);
}

/** Every epoch of the last stage is validated as the model will be used; a bottleneck stage once, at its end, under its mask. */
function conditionAfter(
  { stage, step, stageSteps, endOfEpoch }: StepEvent,
  { method }: RunOptions,
): 'standard' | 'bottleneck' | undefined {
  const index = method.stages.findIndex(({ name }) => name === stage);
  if (index === method.stages.length - 1) return endOfEpoch ? 'standard' : undefined;
  return method.stages[index]!.mask === 'bottleneck' && step === stageSteps ? 'bottleneck' : undefined;
}

const validations = (log: TrainingLog): ValidationLine[] => log.lines.filter((line) => line.kind === 'validation');

/** The best validated epoch of the last stage; of equals the first. */
function bestOf(log: TrainingLog, { method }: RunOptions): ValidationLine | null {
  const last = method.stages.at(-1)!.name;
  const candidates = validations(log).filter(({ stage }) => stage === last);
  return candidates.reduce<ValidationLine | null>(
    (best, line) => (best && best.accuracy >= line.accuracy ? best : line),
    null,
  );
}
