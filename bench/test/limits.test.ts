/** That the loops which measure the hardware run, and touch what they claim to touch. How fast it is decides no test. */
import { expect, test } from 'vitest';
import { benchmarks } from '../src/benchmarks.ts';
import { copyBandwidth } from '../src/limits/copy-bandwidth.ts';
import { multiplyAddLimit } from '../src/limits/multiply-add.ts';
import { readBandwidth } from '../src/limits/read-bandwidth.ts';
import { readThreads } from '../src/limits/read-threads.ts';
import { code, compileLoops, repeat } from '../src/limits/wasm-module.ts';
import { runBenchmark } from '../src/run-benchmark.ts';

test('a loop of the small assembler: sums of vectors, as often as it is told', () => {
  const step = [...code.get(2), ...code.get(0), ...code.load(16), ...code.addI32x4, ...code.set(2)];
  const body = [...repeat(1, step), ...code.get(0), ...code.get(2), ...code.store(0)];
  const { memory, call } = compileLoops([{ name: 'sum', parameters: 2, vectors: 1, body }], 65_536);
  const words = new Int32Array(memory.buffer);
  words.set([1, 20, 300, -4000], 256 / 4 + 4);
  call('sum', 256, 1000);
  expect([...words.subarray(64, 68)]).toEqual([1000, 20_000, 300_000, -4_000_000]);
});

test('limits are positive times and rates', async () => {
  expect(multiplyAddLimit(128).measure()).toBeGreaterThan(0);
  expect(readBandwidth(65_536).read(0, 65_536)).toBeGreaterThan(0);
  expect(copyBandwidth(65_536).copy('whole', 65_536)).toBeGreaterThan(0);
  for (const nothing of [readBandwidth(0).read(0, 0), copyBandwidth(0).copy('vectors', 0)])
    expect(nothing).toBeGreaterThanOrEqual(0);
  expect(await (await readThreads(2 ** 20, 2)).pass()).toBeGreaterThan(0);
});

test.each(['matvec', 'attention', 'elementwise', 'start-up'])('a quick run of %s gives times', async (name) => {
  const result = await runBenchmark(name, benchmarks[name]!, { quick: true }, () => {});
  expect(result.failures).toEqual({});
  for (const { metrics } of result.subjects) {
    expect(Object.keys(metrics).length).toBeGreaterThan(0);
    for (const [metric, { median }] of Object.entries(metrics)) {
      // The difference of two short times may be anything.
      if (!metric.includes('backward')) expect(median, metric).toBeGreaterThan(0);
    }
  }
});
