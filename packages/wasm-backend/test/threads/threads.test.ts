/** Jobs on threads: every part once, with its own arguments and kernel, whatever comes in between. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MOST_VALUES } from '../../src/threads/control.js';
import { Threads } from '../../src/threads/threads.js';
import { threadSource } from '../../src/threads/worker-source.js';
import { EXPECTED, installKernels, newMemory } from './support.js';

const CELLS = 4096;

interface Job {
  readonly kernel: 'step' | 'turn';
  /** Which of the installed modules: a share of them. */
  readonly module: number;
  readonly factor: number;
  /** Sizes of the parts. */
  readonly sizes: readonly number[];
  /** Whether a module is installed right before, and used. */
  readonly installs: boolean;
  /** Whether the memory grows right before. */
  readonly grows: boolean;
  /** How long the calling thread does something else, in microseconds: threads sleep after 50. */
  readonly pause: number;
}

const arbitraryJob: fc.Arbitrary<Job> = fc.record({
  kernel: fc.constantFrom('step', 'turn'),
  module: fc.double({ min: 0, max: 0.999, noNaN: true }),
  factor: fc.integer(),
  sizes: fc.oneof(
    { weight: 8, arbitrary: fc.array(fc.nat(20), { minLength: 0, maxLength: 40 }) },
    { weight: 1, arbitrary: fc.array(fc.nat(1), { minLength: 500, maxLength: 1500 }) },
  ),
  installs: fc.nat(19).map((n) => n === 0),
  grows: fc.nat(99).map((n) => n === 0),
  pause: fc.constantFrom(0, 0, 0, 20, 45, 55, 120),
});

function pause(microseconds: number): void {
  const until = performance.now() + microseconds / 1000;
  while (performance.now() < until);
}

describe.each([1, 2, 3, 4, 5])('%i threads', (count) => {
  test('random jobs with installs in between leave in every cell what one thread leaves', () => {
    const threads = new Threads(count, { eager: true });
    const memory = newMemory(1, 60_000);
    const salts = [7];
    const modules = [installKernels(threads, memory, 7)];
    let jobs = 0;
    const property = fc.property(fc.array(arbitraryJob, { minLength: 20, maxLength: 60 }), (list) => {
      const expected = new Int32Array(CELLS);
      new Int32Array(memory.buffer, 0, CELLS).fill(0);
      for (const { kernel, module, factor, sizes, installs, grows, pause: microseconds } of list) {
        if (grows && memory.buffer.byteLength < 64 * 65_536) memory.grow(1);
        if (installs && modules.length < 120) {
          salts.push(salts.length * 31);
          modules.push(installKernels(threads, memory, salts.at(-1)!));
        }
        const chosen = installs ? modules.length - 1 : Math.floor(module * modules.length);
        const starts = sizes.map((_, part) => sizes.slice(0, part).reduce((a, b) => a + b, 0));
        threads.run(modules[chosen]![kernel], sizes.length, (part) => [0, starts[part]!, sizes[part]!, factor]);
        const end = sizes.reduce((a, b) => a + b, 0);
        for (let i = 0; i < end; i += 1) expected[i] = EXPECTED[kernel](expected[i]!, i, factor, salts[chosen]!);
        expect(new Int32Array(memory.buffer, 0, CELLS)).toEqual(expected);
        pause(microseconds);
        jobs += 1;
      }
    });
    fc.assert(property, { numRuns: 40 });
    expect(jobs).toBeGreaterThanOrEqual(800);
    expect(threads.running).toBe(count - 1);
    threads.end();
  });
});

test('10,000 jobs of changing kernels and sizes, as fast as they can be given', () => {
  const threads = new Threads(3, { eager: true });
  const memory = newMemory();
  const kernels = [1, 2, 3].map((salt) => installKernels(threads, memory, salt));
  const expected = new Int32Array(64);
  for (let job = 0; job < 10_000; job += 1) {
    const name = job % 2 === 0 ? 'step' : 'turn';
    const parts = 2 + (job % 7);
    threads.run(kernels[job % 3]![name], parts, (part) => [0, part * 2, 2, job]);
    for (let i = 0; i < 2 * parts; i += 1) expected[i] = EXPECTED[name](expected[i]!, i, job, (job % 3) + 1);
  }
  expect(new Int32Array(memory.buffer, 0, 64)).toEqual(expected);
  threads.end();
});

/** Threads that look for messages and then take their time: so a job is opened in between. */
const slow = threadSource.replace(
  '    work();',
  '    const until = performance.now() + 0.3; while (performance.now() < until); work();',
);

test.each([
  ['', threadSource],
  [', even one that is late', slow],
])('the job right after an install has the new kernel on every thread%s', (_what, source) => {
  const threads = new Threads(4, { eager: true, source });
  const memory = newMemory();
  const expected = new Int32Array(64);
  for (let salt = 1; salt <= 300; salt += 1) {
    const { step, turn } = installKernels(threads, memory, salt);
    for (const [name, kernel] of [['step', step] as const, ['turn', turn] as const]) {
      threads.run(kernel, 32, (part) => [0, part * 2, 2, 5]);
      for (let i = 0; i < 64; i += 1) expected[i] = EXPECTED[name](expected[i]!, i, 5, salt);
    }
  }
  expect(new Int32Array(memory.buffer, 0, 64)).toEqual(expected);
  threads.end();
});

test('every thread takes part after installs that follow each other', () => {
  const threads = new Threads(4, { eager: true });
  const memory = newMemory();
  for (let round = 0; round < 100; round += 1) {
    for (let salt = 0; salt < round % 4; salt += 1) installKernels(threads, memory, salt);
    const { meet, step } = installKernels(threads, memory, 4);
    // In the first job after an install a thread may give its part back.
    threads.run(step, 2, (part) => [64, part, 1, 1]);
    pause(2000);
    const cells = new Int32Array(memory.buffer, 0, 8).fill(0);
    threads.run(meet, 4, (part) => [0, part, 4, 100_000_000]);
    expect([...cells]).toEqual(Array.from(cells, () => 1));
  }
  threads.end();
});

test('cells of memory that came after the threads started', () => {
  const threads = new Threads(3, { eager: true });
  const memory = newMemory(1, 4096);
  const { step } = installKernels(threads, memory, 9);
  for (let pages = 1; pages < 3000; pages += 250) {
    memory.grow(250);
    const at = memory.buffer.byteLength - 4 * 256;
    threads.run(step, 16, (part) => [at, part * 16, 16, pages]);
    const expected = Int32Array.from({ length: 256 }, (_, i) => EXPECTED.step(0, i, pages, 9));
    expect(new Int32Array(memory.buffer, at, 256)).toEqual(expected);
  }
  threads.end();
});

test('no thread starts before the first job of several parts, or for one thread', () => {
  const threads = new Threads(3, { eager: true });
  const memory = newMemory();
  const { step } = installKernels(threads, memory, 1);
  expect(threads.running).toBe(0);
  threads.run(step, 1, () => [0, 0, 4, 1]);
  threads.run(step, 0, () => []);
  expect(threads.running).toBe(0);
  threads.run(step, 2, (part) => [0, 4 * part, 4, 1]);
  expect(threads.running).toBe(2);
  threads.end();
  const alone = new Threads(1, { eager: true });
  alone.run(installKernels(alone, memory, 1).step, 2, (part) => [0, 4 * part, 4, 1]);
  expect(alone.running).toBe(0);
});

test('work is done here while the threads start', () => {
  const threads = new Threads(3);
  const memory = newMemory();
  const { step } = installKernels(threads, memory, 1);
  threads.run(step, 4, (part) => [0, part, 1, 1]);
  expect(new Int32Array(memory.buffer, 0, 4).slice()).toEqual(
    Int32Array.from({ length: 4 }, (_, i) => EXPECTED.step(0, i, 1, 1)),
  );
  threads.end();
});

test('what cannot be: a count of threads that is none, and a job that is too long', () => {
  for (const count of [0, -1, 1.5, Number.NaN]) expect(() => new Threads(count)).toThrow(/threads is .*at least 1/);
  const threads = new Threads(2, { eager: true });
  const { step } = installKernels(threads, newMemory(), 1);
  expect(() => threads.run(step, MOST_VALUES / 4 + 1, () => [0, 0, 0, 0])).toThrow(/2049 parts with 4 arguments/);
  threads.run(step, MOST_VALUES / 4, () => [0, 0, 0, 0]);
  threads.end();
});
