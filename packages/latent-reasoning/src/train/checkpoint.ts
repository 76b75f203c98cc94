/**
 * A training state as safetensors entries, and back, bit for bit.
 *
 * Names: `<part>/<path>` with part `trainables`, `firstMoment` or `secondMoment`, and path `weights/<name>`,
 * `lora/<layer>/a|b` or `rows`. The progress, the seed and what else must agree are in the file's metadata.
 */
import { InvalidInputError } from '@mindseye/qwen-vl';
import {
  type Device,
  type SafetensorsEntry,
  type Tensor,
  type TensorSource,
  mapTree,
  tensor,
} from '@mindseye/tensor-core';
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

function named({ weights, lora, rows }: Trainables): [string, Tensor][] {
  return [
    ...Object.entries(weights).map(([name, value]): [string, Tensor] => [`weights/${name}`, value]),
    ...Object.entries(lora).flatMap(([layer, { a, b }]): [string, Tensor][] => [
      [`lora/${layer}/a`, a],
      [`lora/${layer}/b`, b],
    ]),
    ...(rows ? [['rows', rows] satisfies [string, Tensor]] : []),
  ];
}

/** Reads every tensor of the state; call it between steps. */
export async function checkpointEntries(
  { progress, trainables, optimizer }: TrainingState,
  identity: RunIdentity,
  device: Device,
): Promise<{ readonly entries: SafetensorsEntry[]; readonly metadata: Record<string, string> }> {
  const trees = { trainables, ...optimizer };
  const entries: SafetensorsEntry[] = [];
  for (const part of parts) {
    for (const [name, leaf] of named(trees[part])) {
      entries.push({
        name: `${part}/${name}`,
        dtype: 'F32',
        shape: leaf.shape,
        data: (await leaf.data(device)) as Float32Array,
      });
    }
  }
  return {
    entries,
    metadata: {
      format: 'mindseye-checkpoint-1',
      stage: String(progress.stage),
      step: String(progress.step),
      identity: JSON.stringify(identity),
    },
  };
}

/**
 * @param like trainables of the run that resumes, for their names and shapes
 * @throws InvalidInputError when the file is of another run
 */
export async function restoreCheckpoint(
  source: TensorSource,
  metadata: ReadonlyMap<string, string>,
  like: Trainables,
  identity: RunIdentity,
  location: string,
): Promise<TrainingState> {
  const saved = metadata.get('identity');
  if (metadata.get('format') !== 'mindseye-checkpoint-1' || saved === undefined)
    throw new InvalidInputError(
      `${location} is not a training checkpoint: give the folder of an interrupted run, or start afresh`,
    );
  if (saved !== JSON.stringify(identity))
    throw new InvalidInputError(
      `${location} was written by another run (${saved}), this one is ${JSON.stringify(identity)}: use the same options, or another output folder`,
    );
  const read = async (part: (typeof parts)[number]): Promise<Trainables> => {
    const values = new Map<Tensor, Tensor>();
    for (const [path, leaf] of named(like)) {
      const name = `${part}/${path}`;
      if (!source.has(name) || source.info(name).shape.join() !== leaf.shape.join())
        throw new InvalidInputError(
          `${location}: ${name} is missing or has another shape than [${leaf.shape.join(', ')}]; the checkpoint is damaged, start afresh`,
        );
      values.set(leaf, tensor(await source.readFloat32(name), leaf.shape));
    }
    return mapTree(like, (leaf) => values.get(leaf)!);
  };
  const [stage, step] = ['stage', 'step'].map((key) => Number(metadata.get(key) ?? Number.NaN)) as [number, number];
  if (![stage, step].every((count) => Number.isInteger(count) && count >= 0))
    throw new InvalidInputError(
      `${location}: stage ${metadata.get('stage')}, step ${metadata.get('step')} is no place in a run; the checkpoint is damaged, start afresh`,
    );
  const [trainables, firstMoment, secondMoment] = [
    await read('trainables'),
    await read('firstMoment'),
    await read('secondMoment'),
  ];
  return { progress: { stage, step }, trainables, optimizer: { firstMoment, secondMoment } };
}
