/** The read bandwidth of several threads together, each with a part of the bytes in a memory of its own. */
import { once } from 'node:events';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { readBandwidth } from './read-bandwidth.ts';

export interface ReadThreads {
  /** Milliseconds to read all bytes once, in the mean of several passes. */
  pass(): Promise<number>;
}

/** Passes behind one another, so that starting together and ending apart weigh little. */
const PASSES = 4;

/** The calling thread reads a part too, so there is one worker less than threads. */
export async function readThreads(bytes: number, threads: number): Promise<ReadThreads> {
  const part = Math.floor(bytes / threads);
  const workers = Array.from(
    { length: threads - 1 },
    () => new Worker(new URL(import.meta.url), { workerData: { part }, execArgv: [] }),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  for (const worker of workers) worker.unref();
  const own = readBandwidth(part);
  return {
    async pass() {
      const start = performance.now();
      const ended = workers.map((worker) => once(worker, 'message'));
      for (const worker of workers) worker.postMessage('read');
      for (let pass = 0; pass < PASSES; pass++) own.read(0, part);
      await Promise.all(ended);
      return (performance.now() - start) / PASSES;
    },
  };
}

if (!isMainThread && parentPort) {
  const { part } = workerData as { part: number };
  const bandwidth = readBandwidth(part);
  parentPort.on('message', () => {
    for (let pass = 0; pass < PASSES; pass++) bandwidth.read(0, part);
    parentPort!.postMessage('ended');
  });
  parentPort.postMessage('ready');
}
