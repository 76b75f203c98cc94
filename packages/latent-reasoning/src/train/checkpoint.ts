/**
 * A training state as safetensors entries, and back, bit for bit.
 *
 * Names: `<part>/<path>` with part `trainables`, `firstMoment` or `secondMoment`, and path `weights/<name>`,
 * `lora/<layer>/a|b` or `rows`. The progress, the seed and what else must agree are in the file's metadata.
 */
import { InvalidInputError } from '@mindseye/qwen-vl';
import { type Device, type SafetensorsEntry, type Tensor, type TensorSource, flatten, tensor, unflatten } from '@mindseye/tensor-core';
import type { TrainingState } from './trainer.js';
import type { Trainables } from './trainables.js';

/** What a resumed run must have in common with the saved one. */
export interface RunIdentity {
  readonly method: string;
  readonly seed: number;
  readonly examples: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly stages: string;
}

const parts = ['trainables', 'firstMoment', 'secondMoment'] as const;

function namesOf({ weights, lora, rows }: Trainables): string[] {
  return [
    ...Object.keys(weights).map((name) => `weights/${name}`),
    ...Object.keys(lora).flatMap((layer) => [`lora/${layer}/a`, `lora/${layer}/b`]),
    ...(rows ? ['rows'] : []),
  ];
}

/** Reads every tensor of the state; call it between steps. */
export async function checkpointEntries({ progress, trainables, optimizer }: TrainingState, identity: RunIdentity, device: Device): Promise<{ readonly entries: SafetensorsEntry[]; readonly metadata: Record<string, string> }> {
  const trees = { trainables, ...optimizer };
  const names = namesOf(trainables);
  const entries: SafetensorsEntry[] = [];
  for (const part of parts) {
    const leaves: Tensor[] = flatten(trees[part]);
    for (const [i, leaf] of leaves.entries()) {
      entries.push({ name: `${part}/${names[i]!}`, dtype: 'F32', shape: leaf.shape, data: (await leaf.data(device)) as Float32Array });
    }
  }
  return { entries, metadata: { format: 'mindseye-checkpoint-1', stage: String(progress.stage), step: String(progress.step), identity: JSON.stringify(identity) } };
}

/**
 * @param like trainables of the run that resumes, for their names and shapes
 * @throws InvalidInputError when the file is of another run
 */
export async function restoreCheckpoint(source: TensorSource, metadata: ReadonlyMap<string, string>, like: Trainables, identity: RunIdentity, location: string): Promise<TrainingState> {
  const saved = metadata.get('identity');
  if (metadata.get('format') !== 'mindseye-checkpoint-1' || saved === undefined) throw new InvalidInputError(`${location} is not a training checkpoint: give the folder of an interrupted run, or start afresh`);
  if (saved !== JSON.stringify(identity)) throw new InvalidInputError(`${location} was written by another run (${saved}), this one is ${JSON.stringify(identity)}: use the same options, or another output folder`);
  const names = namesOf(like);
  const read = async (part: (typeof parts)[number]): Promise<Trainables> => {
    const leaves: Tensor[] = [];
    for (const [i, leaf] of flatten(like).entries()) {
      const name = `${part}/${names[i]!}`;
      if (!source.has(name) || source.info(name).shape.join() !== leaf.shape.join()) throw new InvalidInputError(`${location}: ${name} is missing or has another shape than [${leaf.shape.join(', ')}]; the checkpoint is damaged, start afresh`);
      leaves.push(tensor(await source.readFloat32(name), leaf.shape));
    }
    return unflatten(like, leaves);
  };
  const [trainables, firstMoment, secondMoment] = [await read('trainables'), await read('firstMoment'), await read('secondMoment')];
  return { progress: { stage: Number(metadata.get('stage')), step: Number(metadata.get('step')) }, trainables, optimizer: { firstMoment, secondMoment } };
}
