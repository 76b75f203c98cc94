/**
 * A chain of products so small that the arithmetic is nothing: what a step of a plan costs beside it. Products, because
 * elementwise chains would become a single step.
 */
import { type Device, type Tensor, compile, evaluate, full, matmul, tensor } from '@mindseye/tensor-core';

const LENGTH = 500;
const SIZE = 4;

function chain(x: Tensor, factor: Tensor): Tensor {
  let y = x;
  for (let i = 0; i < LENGTH; i++) y = matmul(y, factor);
  return y;
}

export interface ReplayTimes {
  /** Microseconds per step of a compiled function. */
  readonly compiled: number;
  /** Microseconds per step of `evaluate`, which traces the graph and finds its plan each time. */
  readonly evaluated: number;
}

/** Median times on a device, over `repetitions` runs. */
export async function openReplay(device: Device): Promise<(repetitions: number) => Promise<ReplayTimes>> {
  const factor = await evaluate(full([SIZE, SIZE], 1 / SIZE), { device });
  const run = compile(chain, { device, donate: [0], name: 'chain' });
  const steps = run.plan(factor, factor).steps.length;
  if (steps < LENGTH)
    throw new Error(`the chain of ${LENGTH} products became ${steps} steps: it measures something else`);
  const start = (): Tensor => tensor(new Float32Array(SIZE * SIZE).fill(1), [SIZE, SIZE]);
  let x = start();
  const perStep = async (repetitions: number, work: () => Promise<void>): Promise<number> => {
    const before = performance.now();
    for (let i = 0; i < repetitions; i++) await work();
    return ((performance.now() - before) / repetitions / steps) * 1000;
  };
  return async (repetitions) => ({
    compiled: await perStep(repetitions, async () => {
      x = await run(x, factor);
    }),
    evaluated: await perStep(repetitions, async () => {
      await evaluate(chain(x, factor), { device });
    }),
  });
}
