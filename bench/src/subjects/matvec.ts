/** One row times matrices that take turns, in each storage, by an engine of this project; through `linear`, as a model does. */
import { type Tensor, type Weight, linear, tensor } from '@mindseye/tensor-core';
import { type EngineName, openEngine } from '../engines.ts';
import { type CompiledWork, compiledWork, stepNames } from '../own-work.ts';
import { measureMemory } from '../process/memory.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { uploadRandomMatrix } from '../scale/random-weights.ts';
import { meanTime } from '../work.ts';
import {
  COLUMNS,
  type MatvecStorageName,
  ROWS,
  matricesOf,
  matvecStorageNames,
  matvecStorages,
} from './matvec-sizes.ts';

interface MatvecOptions {
  readonly [key: string]: Json;
  readonly engine: EngineName;
  /** What the matrices of a storage take together, at least. */
  readonly bytes: number;
  readonly milliseconds: number;
}

export const open: OpenSubject<MatvecOptions> = async ({ engine, bytes, milliseconds }) => {
  const device = openEngine(engine);
  const deviation = 1 / Math.sqrt(COLUMNS);
  const x = tensor(
    Float32Array.from({ length: COLUMNS }, (_, i) => Math.sin(i * 0.7)),
    [1, COLUMNS],
  );
  const works = new Map<MatvecStorageName, CompiledWork>();
  for (const name of matvecStorageNames) {
    const weights: Weight[] = [];
    for (let stream = 0; stream < matricesOf(name, bytes); stream++)
      weights.push(
        await uploadRandomMatrix([ROWS, COLUMNS], matvecStorages[name].storage, { deviation, stream, device }),
      );
    const shapes = weights.map(() => [1, ROWS]);
    const work = await compiledWork(device, [x], shapes, ([row]: readonly Tensor[]) =>
      weights.map((weight) => linear(row!, weight)),
    );
    await work.run();
    checkSize(name, await work.read());
    works.set(name, work);
  }
  return {
    async sample() {
      const times: Record<string, number> = {};
      for (const [name, work] of works) times[name] = (await meanTime(work, milliseconds)) / matricesOf(name, bytes);
      return times;
    },
    details: async () => ({
      matrices: Object.fromEntries(matvecStorageNames.map((name) => [name, matricesOf(name, bytes)])),
      steps: Object.fromEntries([...works].map(([name, { plan }]) => [name, [...new Set(stepNames(plan))]])),
      memory: await measureMemory(device),
    }),
  };
};

/** Rows of deviation 1/√n times a sine of mean square ½ give numbers of mean square ½. */
function checkSize(name: string, y: ArrayLike<number>): void {
  let sum = 0;
  for (let i = 0; i < y.length; i++) sum += y[i]! ** 2;
  const mean = sum / y.length;
  if (!(mean > 0.4 && mean < 0.6)) throw new Error(`${name}: the mean square of the result is ${mean}, not about 0.5`);
}
