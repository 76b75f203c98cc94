/**
 * Hours in minutes: random plans with their gradients, training steps, decoding steps and large kernels on threads, in turn, on
 * one device, and devices that come and go beside it. After the warm-up nothing may grow.
 *
 * Plans come from a pool, as a program's do: a device keeps the code of every structure that it has seen.
 */
import { readdirSync } from 'node:fs';
import * as t from '@mindseye/tensor-core';
import { collectGarbage } from '@mindseye/tensor-core/node';
import {
  type GraphRecipe,
  arbitraryGraph,
  buildGraph,
  decodingLoop,
  graphLoss,
  toTensor,
  trainingLoop,
} from '@mindseye/tensor-core/testing';
import { type WasmDevice, createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly threads?: number;
  /** Told what is held, now and then. */
  readonly onLook?: (look: Look) => void;
}

/** What is held after a collection. */
export interface Look {
  readonly seconds: number;
  readonly rounds: number;
  /** Roots of the device. */
  readonly rootBytes: number;
  readonly arenaBytes: number;
  readonly wasmBytes: number;
  /** Heap of JavaScript and what it keeps outside. */
  readonly heapBytes: number;
  readonly residentBytes: number;
  /** Threads of the operating system; 0 where it does not tell. */
  readonly osThreads: number;
  /** How often the device has started threads. */
  readonly threadStarts: number;
}

export interface SoakReport {
  /** After the warm-up. */
  readonly early: Look;
  readonly late: Look;
  /** Bits that changed between two runs of one plan; none. */
  readonly changed: readonly string[];
}

const POOL = 24;
const WARM_UP = 0.4;
const LARGE = 300;

type Values = readonly (Float32Array | ArrayLike<number>)[];

const osThreads = (): number => (process.platform === 'linux' ? readdirSync('/proc/self/task').length : 0);

/** Every value of a recipe's graph, its loss and the gradients of all inputs. */
const everything =
  (recipe: GraphRecipe) =>
  (inputs: readonly t.Tensor[]): t.Tensor[] => {
    const lossOf = (given: readonly t.Tensor[]): t.Tensor => graphLoss(buildGraph(recipe, given));
    const [loss, gradients] = t.valueAndGrad(lossOf)(inputs);
    return [loss, ...gradients, ...buildGraph(recipe, inputs)];
  };

/** Products and rows that are divided over threads. */
const large = (x: t.Tensor): t.Tensor => t.sum(t.softmax(t.matmul(t.gelu(x), t.transpose(x))), 0);
const pattern = (): t.Tensor =>
  t.tensor(
    Float32Array.from({ length: LARGE * LARGE }, (_, i) => Math.sin(i * i)),
    [LARGE, LARGE],
  );

const texts = async (tensors: readonly t.Tensor[]): Promise<string> => {
  const values: Values = await Promise.all(tensors.map((tensor) => tensor.data() as Promise<Float32Array>));
  return values.map((data) => Array.from(data, String).join()).join(';');
};

/** @throws whatever a step throws. */
export async function soak({ seconds, seed, threads = 3, onLook }: SoakOptions): Promise<SoakReport> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 8192, shared: true });
  const device = createWasmDevice({ memory, threads });
  const pool = fc.sample(arbitraryGraph({ maxSteps: 12 }), { seed, numRuns: POOL }).map((recipe) => ({
    recipe,
    run: t.compile(everything(recipe), { device }),
  }));
  const product = t.compile(large, { device });
  const first = new Map<string, string>();
  const changed: string[] = [];
  const check = async (name: string, results: readonly t.Tensor[]): Promise<void> => {
    const text = await texts(results);
    if (!first.has(name)) first.set(name, text);
    if (first.get(name) !== text) changed.push(name);
  };
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  let rounds = 0;
  const look = async (): Promise<Look> => {
    for (let i = 0; i < 4; i += 1) await collectGarbage();
    const { heapUsed, external, rss } = process.memoryUsage();
    const { rootBytes, arenaBytes } = device.memory();
    return {
      seconds: elapsed(),
      rounds,
      rootBytes,
      arenaBytes,
      wasmBytes: memory.buffer.byteLength,
      heapBytes: heapUsed + external,
      residentBytes: rss,
      osThreads: osThreads(),
      threadStarts: device.report().threadStarts,
    };
  };
  const round = async (): Promise<void> => {
    for (const [i, { recipe, run }] of pool.entries()) await check(`plan ${i}`, await run(recipe.inputs.map(toTensor)));
    for (let i = 0; i < 4; i += 1) await check('product', [await product(pattern())]);
    await trainingLoop(device, { steps: 20 });
    await decodingLoop(device, { steps: 40 });
    if (rounds % 16 === 0) await useOnce(createWasmDevice({ threads: 2 }));
    // What is held between two collections depends on when the engine feels like one.
    await collectGarbage();
    rounds += 1;
  };
  while (elapsed() < WARM_UP * seconds || rounds < 3) await round();
  const early = await look();
  onLook?.(early);
  let nextLook = elapsed() + 30;
  while (elapsed() < seconds) {
    await round();
    if (elapsed() < nextLook) continue;
    onLook?.(await look());
    nextLook = elapsed() + 30;
  }
  return { early, late: await look(), changed };
}

/** A device that is used on threads and dropped. */
async function useOnce(device: WasmDevice): Promise<void> {
  const product = t.compile(large, { device });
  for (let i = 0; i < 20 && device.runningThreads === 0; i += 1) {
    await (await product(pattern())).data();
    await new Promise((done) => setTimeout(done, 5));
  }
}

/** Growth that code and feedback of the engine itself still cause. */
const HEAP_SLACK = 8 * 2 ** 20;
/** Roots are released in any order, which leaves gaps of one kind or another. */
const WASM_SLACK = 4 * 2 ** 20;
const RESIDENT_SLACK = 48 * 2 ** 20;

/** What has grown, in words; empty when nothing has. */
export function growthOf({ early, late, changed }: SoakReport): string[] {
  const found = changed.map((name) => `${name} gave other bits`);
  const most: Readonly<Partial<Record<keyof Look, number>>> = {
    rootBytes: 0,
    arenaBytes: 0,
    wasmBytes: WASM_SLACK,
    threadStarts: 0,
    // Those of a device that was dropped a moment ago.
    osThreads: 2,
    heapBytes: HEAP_SLACK,
    residentBytes: RESIDENT_SLACK,
  };
  for (const [name, slack] of Object.entries(most) as [keyof Look, number][])
    if (late[name] - early[name] > slack) found.push(`${name} grew from ${early[name]} to ${late[name]}`);
  if (late.threadStarts !== 1) found.push(`threads were started ${late.threadStarts} times`);
  return found;
}
