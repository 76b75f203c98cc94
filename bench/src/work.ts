/** Work that is ready to run again and again, and how long it takes. */

import { median } from './rounds.ts';

export interface Work {
  run(): Promise<void> | void;
  /** The result of the last run. */
  read(): Promise<ArrayLike<number>> | ArrayLike<number>;
}

const MOST_REPETITIONS = 1000;

/** Mean milliseconds of a run, over runs of about `milliseconds` together; at least one. */
export async function meanTime({ run }: Work, milliseconds: number): Promise<number> {
  const start = performance.now();
  let elapsed = 0;
  let repetitions = 0;
  while (elapsed < milliseconds && repetitions < MOST_REPETITIONS) {
    await run();
    repetitions++;
    elapsed = performance.now() - start;
  }
  return elapsed / repetitions;
}

/** Median milliseconds of a run, each after `before`, which is not counted. */
export async function timeAfter(before: () => void, { run }: Pick<Work, 'run'>, repetitions: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < repetitions; i++) {
    before();
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return median(times);
}

/** Compares some elements, spread over all, with what they should be. @throws Error for the first that is off. */
export function checkElements(
  name: string,
  actual: ArrayLike<number>,
  expected: (index: number) => number,
  { size, tolerance = 1e-3 }: { readonly size: number; readonly tolerance?: number },
): void {
  if (actual.length !== size) throw new Error(`${name} has ${actual.length} elements, it should have ${size}`);
  for (const place of [0, 0.37, 0.71, 0.999]) {
    const index = Math.floor(place * size);
    const [is, should] = [actual[index]!, expected(index)];
    if (!(Math.abs(is - should) <= tolerance * Math.max(1, Math.abs(should))))
      throw new Error(`${name}: element ${index} is ${is}, it should be ${should}`);
  }
}

/** An array of `size` values, each from its index; in a loop, because millions are made. */
export function filled(size: number, valueAt: (index: number) => number): Float32Array {
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) values[i] = valueAt(i);
  return values;
}
