/** That the benchmarks run and what their results hold. How fast anything is decides no test. */
import { expect, test } from 'vitest';
import { benchmarks } from '../src/benchmarks.ts';
import { bestEngine, fastEngineNames } from '../src/engines.ts';
import { OUTPUT, onnxModel } from '../src/peers/onnx-model.ts';
import { measureRounds, median } from '../src/rounds.ts';
import { describeResult, runBenchmark } from '../src/run-benchmark.ts';

test('a quick training benchmark gives times, memory, machine and versions', async () => {
  const benchmark = benchmarks['training-livr']!;
  const progress: string[] = [];
  const result = await runBenchmark('training-livr', benchmark, { quick: true }, (line) => progress.push(line));
  expect(result.failures).toEqual({});
  expect(result.subjects.map(({ name }) => name)).toEqual(fastEngineNames);
  for (const { metrics, details } of result.subjects) {
    expect(metrics['ms per step']!.median).toBeGreaterThan(0);
    expect(details).toMatchObject({
      batchSize: 8,
      memory: { rootMiB: expect.any(Number), peakMiB: expect.any(Number), peakRssMiB: expect.any(Number) },
    });
  }
  expect(result.subjects[0]!.metrics['ms per step']!.timesBaseline).toBe(1);
  expect(result).toMatchObject({
    baseline: bestEngine,
    quick: true,
    machine: { cores: expect.any(Number), node: process.version },
  });
  expect(result.loadAverage.after.length).toBe(3);
  expect(progress).toContain('training-livr: round 1 of 1');
  expect(describeResult(benchmark, result)).toContain('ms per step');
});

test('sampling compares numbers of samples with one', async () => {
  const result = await runBenchmark('sampling', benchmarks['sampling']!, { quick: true }, () => {});
  expect(result.failures).toEqual({});
  expect(result.baseline).toBe('1 sample');
  expect(result.subjects.map(({ details }) => details['samples'])).toEqual([1, 4, 8]);
  for (const { metrics } of result.subjects) expect(metrics['ms per token']!.median).toBeGreaterThan(0);
  expect(describeResult(benchmarks['sampling']!, result)).toMatch(/ms per token\s+8 samples\s+\S+ tokens\/s/);
});

test('a subject that cannot be opened is a failure with its reason, and the others are measured', async () => {
  const module = new URL('../src/subjects/matmul.ts', import.meta.url);
  const spec = (engine: string) => ({
    name: engine,
    module,
    options: { engine, shapes: ['tiny MLP 640×96×256'], milliseconds: 1 },
  });
  const result = await measureRounds({
    subjects: [spec('no such engine'), spec('wasm relaxed')],
    rounds: 1,
    onProgress: () => {},
  });
  expect(result.failures).toEqual({ 'no such engine': 'no such engine: there is no engine "no such engine"' });
  expect(result.subjects.map(({ name }) => name)).toEqual(['wasm relaxed']);
});

test('medians', () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5]);
});

test('the ONNX model names its sizes and its result, and holds its constants', () => {
  const b = Float32Array.from({ length: 300 }, (_, i) => i);
  const node = { op: 'MatMul', inputs: { a: [2048, 1], b: [1, 300] }, output: [2048, 300] };
  const model = Buffer.from(onnxModel(node));
  // 300 and 2048 as varints.
  expect(model.includes(Buffer.from([0xac, 0x02]))).toBe(true);
  expect(model.includes(Buffer.from([0x80, 0x10]))).toBe(true);
  expect(model.includes(OUTPUT)).toBe(true);
  const withConstant = Buffer.from(onnxModel({ ...node, constants: { b } }));
  expect(withConstant.includes(Buffer.from(b.buffer))).toBe(true);
  expect(model.includes(Buffer.from(b.buffer))).toBe(false);
});
