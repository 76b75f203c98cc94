/** Pictures, moves, searches and sums of rows: the same bits on one thread and on three that take the smallest parts. */
import { afterAll, expect, test } from 'vitest';
import { bicubicTaps } from '@mindseye/tensor-core';
import { type Kernels, arrangeTaps, createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';

/** Byte offsets of what is read, of numbers, and of what is written. */
const [READ, NUMBERS, WRITTEN] = [0, 4 * 2 ** 20, 8 * 2 ** 20];
const WRITTEN_WORDS = 2 ** 16;
const PAGES = 256;

const three = new Threads(3, { eager: true });
afterAll(() => three.end());

/** Numbers at an offset of a memory. */
const put = ({ memory }: Kernels, offset: number, numbers: Int32Array): number => {
  new Int32Array(memory.buffer, offset, numbers.length).set(numbers);
  return offset;
};

/** Bicubic weights of one axis, cut to as many taps for every output; which they are is no matter here. */
function resample(kernels: Kernels, lines: number, length: number, out: number, trail: number): void {
  const { starts, weights, stride, bits } = bicubicTaps(length, out);
  const taps = Math.min(stride, length);
  const even = Int32Array.from({ length: out * taps }, (_, i) => weights[Math.floor(i / taps) * stride + (i % taps)]!);
  const { parts, words } = arrangeTaps(even, out, taps);
  kernels.resample({
    x: READ,
    y: WRITTEN,
    starts: put(
      kernels,
      NUMBERS,
      starts.map((start) => Math.min(start, length - taps)),
    ),
    words: put(kernels, NUMBERS + 2 ** 16, words),
    parts,
    bits,
    taps,
    lines,
    length,
    out,
    trail,
  });
}

const batch = { count: 300, to: 120, from: 120 };
const [near, far] = [
  { count: 50, to: 12, from: 24 },
  { count: 20, to: 600, from: 12 },
];
const picture = { frames: 3, height: 56, width: 84, channels: 3, patchSize: 14, temporalPatchSize: 2, mergeSize: 2 };
const [to, from] = [WRITTEN, READ];

const jobs: Readonly<Record<string, (kernels: Kernels) => void>> = {
  'rows of a picture': (kernels) => resample(kernels, 37, 50, 33, 1),
  'columns of a picture': (kernels) => resample(kernels, 1, 50, 77, 45),
  'columns of several pictures': (kernels) => resample(kernels, 3, 20, 9, 17),
  patches: (kernels) => kernels.cutPatches({ pixels: READ, table: READ, patches: WRITTEN, ...picture }),
  'a transpose of many rows': (kernels) => {
    const outer = { count: 3, to: 101 * 268, from: 67 * 404 };
    kernels.transpose({ to, from, elementBytes: 4, rows: 101, columns: 67, toStride: 268, fromStride: 404, outer });
  },
  'many transposes': (kernels) =>
    kernels.transpose({ to, from, elementBytes: 4, rows: 5, columns: 6, toStride: 24, fromStride: 20, outer: batch }),
  'runs, the inner loop the longer': (kernels) => kernels.copyRuns({ to, from, runBytes: 12, inner: near, outer: far }),
  'runs, the outer loop the longer': (kernels) => kernels.copyRuns({ to, from, runBytes: 12, inner: far, outer: near }),
  argmax: (kernels) => kernels.argmax('u32', WRITTEN, READ, 333, 40),
  'sums of rows': (kernels) => {
    const indices = put(
      kernels,
      NUMBERS,
      Int32Array.from({ length: 100 }, (_, i) => (i * 7) % 13),
    );
    kernels.scatterAdd('i32', { y: WRITTEN, updates: READ, indices, rows: 13, count: 100, columns: 77 });
  },
};

/** The words that a job leaves, on a memory of its own. */
function result(job: (kernels: Kernels) => void, threads: Threads | number): Uint32Array {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  new Uint32Array(memory.buffer, READ, NUMBERS / 4).forEach((_, i, words) => {
    words[i] = Math.imul(i + 1, 0x9e37_79b1) >>> 0;
  });
  job(createKernels({ memory, threads }));
  return new Uint32Array(memory.buffer, WRITTEN, WRITTEN_WORDS).slice();
}

test.each(Object.entries(jobs))('%s', (_name, job) => {
  const expected = result(job, 1);
  expect(expected.some((word) => word !== 0)).toBe(true);
  expect(result(job, three)).toEqual(expected);
});
