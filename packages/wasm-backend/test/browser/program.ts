/**
 * Random graphs with their gradients, and jobs of kernels, on the device and on the reference engine: in a page, in a worker of
 * one, or in Node. The seed decides all of it, so results can be compared between places.
 */
import * as t from '@mindseye/tensor-core';
import { arbitraryGraph, buildGraph, graphLoss, readBack, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { deviceOn } from '../../src/device/device.js';
import { createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';

const GRAPHS = 40;
const THREADS = 3;
/** How long threads may take to start, or to be refused. */
const START_MILLISECONDS = 10_000;

export interface BrowserReport {
  readonly isolated: boolean;
  readonly sharedMemory: boolean;
  readonly threads: number;
  readonly runningThreads: number;
  readonly threadsLost: string | undefined;
  /** Calls of `Atomics.wait` that waited, or tried to. */
  readonly waits: number;
  /** Graphs whose values are not those of the reference engine. */
  readonly wrong: readonly string[];
  /** The bits of every value of every graph. */
  readonly digests: readonly string[];
}

/** FNV-1a, 32 bits. */
function digest(bytes: Uint8Array): string {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return (hash >>> 0).toString(16);
}

const valuesOf = (value: t.HostTensor): ArrayLike<number> => value.data as unknown as ArrayLike<number>;

function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [worst, scale] = [0, 1];
  for (let i = 0; i < expected.length; i += 1) {
    const difference = Math.abs(Number(actual[i]) - Number(expected[i]));
    worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference);
    scale = Math.max(scale, Math.abs(Number(expected[i])));
  }
  return actual.length === expected.length ? worst / scale : Infinity;
}

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

/** @param seed of the graphs. */
export async function run(seed: number): Promise<BrowserReport> {
  let waits = 0;
  const { wait } = Atomics;
  Object.assign(Atomics, {
    wait: (...values: Parameters<typeof wait>) => {
      waits += 1;
      return wait(...values);
    },
  });
  const threads = new Threads(THREADS, { eager: true });
  const device = deviceOn(createKernels({ tier: 'relaxed', threads }), { maximumBytes: 0 });
  const reference = t.createReferenceDevice();
  // A page's main thread cannot wait for its threads, it must let them start.
  const large = t.tensor(Float32Array.from({ length: 4096 }, (_, i) => i / 4096));
  const deadline = performance.now() + START_MILLISECONDS;
  while (device.runningThreads < device.threads - 1 && performance.now() < deadline) {
    await t.exp(large).data(device);
    await pause(10);
  }
  const wrong: string[] = [];
  const digests: string[] = [];
  for (const recipe of fc.sample(arbitraryGraph({ maxSteps: 10 }), { seed, numRuns: GRAPHS })) {
    const everything = (inputs: readonly t.Tensor[]): t.Tensor[] => {
      const [loss, gradients] = t.valueAndGrad((given: readonly t.Tensor[]) => graphLoss(buildGraph(recipe, given)))(
        inputs,
      );
      return [loss, ...gradients, ...buildGraph(recipe, inputs)];
    };
    const on = (target: t.Device): Promise<t.Tensor[]> =>
      t.compile(everything, { device: target })(recipe.inputs.map(toTensor));
    const [actual, expected] = [await on(device), await on(reference)];
    for (const [i, value] of expected.entries()) {
      const [got, wanted] = [await readBack(actual[i]!), await readBack(value)];
      if (!(distance(valuesOf(got), valuesOf(wanted)) < 1e-4))
        wrong.push(`value ${i} of ${fc.stringify(recipe)}`.slice(0, 2000));
      digests.push(digest(new Uint8Array(got.data.buffer, got.data.byteOffset, got.data.byteLength).slice()));
    }
  }
  const report = device.report();
  const { runningThreads } = device;
  threads.end();
  Object.assign(Atomics, { wait });
  return {
    isolated: globalThis.crossOriginIsolated ?? false,
    sharedMemory: report.sharedMemory,
    threads: report.threads,
    runningThreads,
    threadsLost: report.threadsLost,
    waits,
    wrong,
    digests,
  };
}
