/** Threads that fail: what fails is a typed error of one job, and the next job is done as ever. */
import { describe, expect, test } from 'vitest';
import { WasmThreadError } from '../../src/threads/crew.js';
import { type ThreadOptions, Threads } from '../../src/threads/threads.js';
import { threadSource } from '../../src/threads/worker-source.js';
import { type CellKernels, EXPECTED, FATAL, fatalSource, installKernels, newMemory } from './support.js';

interface Setting {
  readonly threads: Threads;
  readonly memory: WebAssembly.Memory;
  readonly kernels: CellKernels;
}

function setUp(count: number, options: ThreadOptions): Setting {
  const threads = new Threads(count, { eager: true, ...options });
  const memory = newMemory();
  return { threads, memory, kernels: installKernels(threads, memory, 5) };
}

/** A job of 64 parts that gives every cell its value. */
function expectJob({ threads, memory, kernels }: Setting): void {
  const cells = new Int32Array(memory.buffer, 0, 256);
  const expected = cells.map((x, i) => EXPECTED.step(x, i, 3, 5));
  threads.run(kernels.step, 64, (part) => [0, 4 * part, 4, 3]);
  expect(cells).toEqual(expected);
}

/** Parts with `FATAL` for its last argument, until a thread has drawn one; the calling thread survives those. */
function runFatalJobs({ threads, kernels }: Setting): void {
  for (let attempt = 0; attempt < 10_000; attempt += 1)
    threads.run(kernels.step, 64, (part) => [0, 4 * part, 0, FATAL]);
}

const errorOf = (body: () => void): unknown => {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('a kernel that traps', () => {
  test('on a thread is a WasmThreadError with the reason, all other parts are done, and the threads go on', () => {
    const setting = setUp(3, {});
    const { threads, memory, kernels } = setting;
    const cells = new Int32Array(memory.buffer, 0, 64);
    const seen = new Set<string>();
    for (let job = 0; job < 5_000 && seen.size < 2; job += 1) {
      const trapping = job % 64;
      cells.fill(0);
      const error = errorOf(() => threads.run(kernels.divide, 64, (part) => [0, part, part === trapping ? 0 : 1]));
      // Whoever draws the part that traps.
      expect((error as Error).message).toContain('divide by zero');
      if (error instanceof WasmThreadError) expect(error.message).toMatch(/^a kernel failed on a thread: RuntimeError/);
      else expect(error).toBeInstanceOf(WebAssembly.RuntimeError);
      seen.add((error as Error).name);
      expect(cells).toEqual(Int32Array.from(cells, (_, i) => (i === trapping ? 0 : 10)));
      expectJob(setting);
    }
    expect(seen).toEqual(new Set(['WasmThreadError', 'RuntimeError']));
    expect(threads.running).toBe(2);
    threads.end();
  });

  test('in every part ends as one error', () => {
    const setting = setUp(3, {});
    const { threads, kernels } = setting;
    for (let job = 0; job < 200; job += 1)
      expect(() => threads.run(kernels.divide, 64, (part) => [0, part, 0])).toThrow('divide by zero');
    expectJob(setting);
    threads.end();
  });
});

describe.each([
  ['ends', 'process.exit(3);'],
  ['never returns', 'for (;;);'],
  ['never returns from a wait', 'Atomics.wait(words, WORD.ready + 1, 0);'],
])('a thread that %s in the middle of a part', (_what, statement) => {
  test('is a WasmThreadError, and the next job has new threads', () => {
    const setting = setUp(3, { source: fatalSource(statement), stallMilliseconds: 200 });
    const { threads } = setting;
    expectJob(setting);
    expect(() => runFatalJobs(setting)).toThrow(
      new WasmThreadError(
        'a thread has not finished its part of a kernel for 200 ms and is taken for dead: inputs keep their values, but donated ones may be partly overwritten',
      ),
    );
    expect(threads.lost).toBe('it does not answer');
    expectJob(setting);
    expect(threads.running).toBe(2);
    threads.end();
  });
});

test('threads that always die are given up: from then on there is one', () => {
  const setting = setUp(2, { source: fatalSource('process.exit(3);'), stallMilliseconds: 100 });
  for (let crew = 0; crew < 4; crew += 1) {
    expect(setting.threads.count).toBe(2);
    expect(() => runFatalJobs(setting)).toThrow(WasmThreadError);
  }
  expect(setting.threads.count).toBe(1);
  setting.threads.run(setting.kernels.step, 64, (part) => [0, 4 * part, 0, FATAL]);
  expectJob(setting);
  setting.threads.end();
  expect(setting.threads.count).toBe(2);
});

test('threads that die between jobs are replaced, without an error', async () => {
  // A message makes them look at a word of the memory; the next word counts the dead.
  const source = `${threadSource}
const receiveAlive = receive;
receive = (message) => {
  const cells = message.imports && new Int32Array(message.imports.memory.buffer, 4000);
  if (cells && cells[0] === 1) {
    Atomics.add(cells, 1, 1);
    process.exit(4);
  }
  receiveAlive(message);
};`;
  const setting = setUp(3, { source });
  const { threads, memory } = setting;
  const [order, dead] = [0, 1];
  const words = new Int32Array(memory.buffer, 4000, 2);
  for (let round = 0; round < 3; round += 1) {
    expectJob(setting);
    expect(threads.running).toBe(2);
    Atomics.store(words, order, 1);
    installKernels(threads, memory, round);
    // That they are gone is known only in the event loop; until then they draw no part.
    while (Atomics.load(words, dead) < 2 * (round + 1)) expectJob(setting);
    expect(threads.started).toBe(round + 1);
    Atomics.store(words, order, 0);
    for (let job = 0; job < 500 && threads.started === round + 1; job += 1) {
      await new Promise((done) => setTimeout(done, 10));
      expectJob(setting);
    }
    expect(threads.started).toBe(round + 2);
    expect(threads.lost).toBe('exit code 4');
  }
  expect(threads.running).toBe(2);
  threads.end();
});

test.each([
  ['does not parse', 'function ('],
  ['throws at once', 'throw new Error("no");'],
  ['cannot take its kernels', threadSource.replace('new WebAssembly.Instance', 'new Nothing')],
])('threads whose script %s leave all work to the calling one', async (_what, source) => {
  // Whether they come is not waited for, as in earnest.
  const setting = setUp(3, { source, eager: false });
  const { threads } = setting;
  for (let job = 0; job < 500 && threads.count > 1; job += 1) {
    expectJob(setting);
    await new Promise((done) => setTimeout(done, 10));
  }
  expect(threads.count).toBe(1);
  expectJob(setting);
  threads.end();
});
