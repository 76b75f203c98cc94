/** Runs a trainer to its end, or some way, and reads what it made. */
import { type Device, type Tensor, flatten } from '@mindseye/tensor-core';
import {
  type StepEvent,
  Trainer,
  type TrainerOptions,
  type TrainingState,
  initializeTrainables,
} from '../../src/index.js';

/** A trainer at the start of a run. */
export async function startTrainer(options: TrainerOptions): Promise<Trainer> {
  return new Trainer(options, await initializeTrainables(options.setup, options.seed, options.device));
}

/** Up to `steps` steps; all that are left when left out. */
export async function runSteps(trainer: Trainer, steps: number = Number.POSITIVE_INFINITY): Promise<StepEvent[]> {
  const events: StepEvent[] = [];
  if (steps === 0) return events;
  for await (const event of trainer.run()) if (events.push(event) >= steps) break;
  return events;
}

const bits = (values: ArrayLike<number>): number[] => Array.from(new Uint32Array(Float32Array.from(values).buffer));

/** Every bit of a tree of f32 tensors. */
export async function bitsOf(tree: unknown, device: Device): Promise<number[][]> {
  const all: number[][] = [];
  for (const leaf of flatten(tree) as Tensor[]) all.push(bits(await leaf.data(device)));
  return all;
}

/** What two runs have to share to the bit: losses, norms and rates of each step, then parameters and moments. */
export async function fingerprint(
  events: readonly StepEvent[],
  state: TrainingState,
  device: Device,
): Promise<unknown> {
  return { events, trainables: await bitsOf(state.trainables, device), moments: await bitsOf(state.optimizer, device) };
}
