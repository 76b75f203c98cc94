/** Work of this project's devices: a compiled function whose results take the places of the old ones. */
import { type Device, type Plan, type Tensor, compile, evaluate, full } from '@mindseye/tensor-core';
import type { Work } from './work.ts';

export interface CompiledWork extends Work {
  /** What a run replays. */
  readonly plan: Plan;
  /** Result of that number. */
  readResult(index: number): Promise<ArrayLike<number>>;
}

/**
 * @param inputs of the function, uploaded on the first run; what the function closes over is read where it lies
 * @param resultShapes of its results, all f32: memory that is given up for them, so that nothing waits for the collector
 */
export async function compiledWork(
  device: Device,
  inputs: readonly Tensor[],
  resultShapes: readonly (readonly number[])[],
  fn: (inputs: readonly Tensor[]) => readonly Tensor[],
): Promise<CompiledWork> {
  const compute = compile((_old: readonly Tensor[], given: readonly Tensor[]) => fn(given), {
    device,
    donate: [0],
    name: 'the measured function',
  });
  let results: readonly Tensor[] = await evaluate(
    resultShapes.map((shape) => full(shape, 0)),
    { device },
  );
  const plan = compute.plan(results, inputs);
  return {
    plan,
    async run() {
      results = await compute(results, inputs);
    },
    read: () => results[0]!.data(device),
    readResult: (index) => results[index]!.data(device),
  };
}

/** The ops that a plan's steps run, in order. */
export const stepNames = ({ steps }: Plan): string[] => steps.map(({ op }) => op.name);
