import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SampleRecord, Solver } from '../src/index.js';
import {
  COUNTS,
  constantSolver,
  counting,
  evaluate,
  getTask,
  mergeRecords,
  oracleSolver,
  randomSolver,
  summarize,
  tasks,
} from '../src/index.js';

const random = randomSolver(COUNTS, 'harness test');
const VALIDATION = { split: 'validation', limit: 45 } as const;

describe('scripted solvers have the accuracies they must have', () => {
  test.each(Object.keys(tasks))('%s: the oracle scores 1', async (name) => {
    const { summary } = await evaluate(getTask(name), oracleSolver, { split: 'test', limit: 20 });
    expect(summary).toMatchObject({ n: 20, correct: 20, accuracy: 1, unparsed: 0 });
  });

  test('a constant scores the share of its answer', async () => {
    const { summary } = await evaluate(counting, constantSolver('4'), { split: 'test', limit: 90 });
    expect(summary).toMatchObject({ n: 90, correct: 10, modalShare: 1 / 9, modalPredictionShare: 1 });
    expect(summary.predictionHistogram).toEqual({ '4': 90 });
    expect(summary.perClass['4']).toEqual({ n: 10, correct: 10, accuracy: 1 });
    expect(summary.perClass['10']).toEqual({ n: 10, correct: 0, accuracy: 0 });
  });

  test('random answers score chance, within the 99.9 % band', async () => {
    const { summary } = await evaluate(counting, random, { split: 'test', limit: 450, confidence: 0.999 });
    expect(summary.interval.low).toBeLessThan(counting.chance);
    expect(summary.interval.high).toBeGreaterThan(counting.chance);
    expect(Object.keys(summary.predictionHistogram)).toEqual(COUNTS);
  });

  test('a solver that does not commit itself scores nothing', async () => {
    const { summary, records } = await evaluate(counting, constantSolver('4 or 5'), VALIDATION);
    expect(summary).toMatchObject({ correct: 0, unparsed: 45, modalPredictionShare: 0, predictionHistogram: {} });
    expect(records[0]).toMatchObject({ prediction: null, correct: 0, text: '4 or 5' });
  });
});

describe('a record', () => {
  test('says what was asked and answered, and nothing about time', async () => {
    const solver: Solver = { name: 'one', answer: async () => ({ text: 'It is 3.', extra: { tokens: 4 } }) };
    const { records } = await evaluate(counting, solver, { split: 'test', limit: 1 });
    const { question, answer } = counting.describe('test', 0);
    expect(records).toEqual([
      {
        kind: 'sample',
        id: 'counting/test/0',
        index: 0,
        question,
        inputHash: expect.stringMatching(/^[0-9a-f]{64}$/),
        gold: answer,
        text: 'It is 3.',
        prediction: '3',
        correct: Number(answer === '3'),
        extra: { tokens: 4 },
      },
    ]);
  });

  test("the prompt is the question with the task's suffix, and part of what the hash covers", async () => {
    const prompts: string[] = [];
    const listening: Solver = {
      name: 'listening',
      answer: async (_, { prompt, condition }) => {
        prompts.push(`${condition}: ${prompt}`);
        return { text: '2' };
      },
    };
    const suffixed = { ...counting, promptSuffix: '\nAnswer with one integer.' };
    const first = await evaluate(suffixed, listening, { split: 'test', limit: 1 });
    const second = await evaluate(counting, listening, { split: 'test', limit: 1, condition: 'bottleneck' });
    const { question } = counting.describe('test', 0);
    expect(prompts).toEqual([`standard: ${question}\nAnswer with one integer.`, `bottleneck: ${question}`]);
    expect(first.records[0]?.inputHash).not.toBe(second.records[0]?.inputHash);
  });
});

describe('shards and resumption', () => {
  test('shards together are the whole run', async () => {
    const whole = await evaluate(counting, random, VALIDATION);
    const shards: (readonly SampleRecord[])[] = [];
    for (let index = 0; index < 4; index++) {
      shards.push((await evaluate(counting, random, { ...VALIDATION, shard: { index, count: 4 } })).records);
    }
    expect(shards.map((records) => records.length)).toEqual([12, 11, 11, 11]);
    const merged = mergeRecords(shards.toReversed());
    expect(merged).toEqual(whole.records);
    expect(summarize(counting, merged)).toEqual(whole.summary);
    expect(() => mergeRecords([...shards, shards[1] ?? []])).toThrow('counting/validation/1 occurs in two shards');
  });

  test('a run that was stopped anywhere and resumed is the run that was not', async () => {
    const limit = 12;
    const whole = await evaluate(counting, random, { split: 'test', limit });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: limit - 1 }), async (stopAfter) => {
        const stop = new AbortController();
        const kept: SampleRecord[] = [];
        const stopped = evaluate(counting, random, {
          split: 'test',
          limit,
          signal: stop.signal,
          onSample: (record, { done, total }) => {
            kept.push(record);
            expect([done, total]).toEqual([kept.length, limit]);
            if (done === stopAfter) stop.abort(new Error('stopped by the test'));
          },
        });
        if (stopAfter > 0) await expect(stopped).rejects.toThrow('stopped by the test');
        else await stopped;
        const before = stopAfter > 0 ? kept.length : 0;
        const asked: string[] = [];
        const resumed = await evaluate(counting, random, {
          split: 'test',
          limit,
          resumeFrom: kept.slice(0, before),
          onSample: ({ id }) => {
            asked.push(id);
          },
        });
        expect(asked.length).toBe(limit - before);
        expect(resumed).toEqual(whole);
      }),
      { numRuns: 8 },
    );
  });

  test('a record of another sample is not resumed from', async () => {
    const { records } = await evaluate(counting, random, { split: 'test', limit: 2 });
    const [first, second] = records;
    if (first === undefined || second === undefined) throw new Error('two records were made');
    const swapped = [{ ...second, id: first.id }];
    await expect(evaluate(counting, random, { split: 'test', limit: 2, resumeFrom: swapped })).rejects.toThrow(
      'counting/test/0: the earlier record was made from another sample',
    );
  });
});

describe('bad input', () => {
  test.each([
    [{ split: 'test', limit: 0 } as const, 'limit 0 is not a number of samples'],
    [{ split: 'test', limit: 1.5 } as const, 'limit 1.5'],
    [{ split: 'test', shard: { index: 2, count: 2 } } as const, 'shard 2 of 2 does not exist'],
    [{ split: 'test', shard: { index: 0, count: 0 } } as const, 'shard 0 of 0 does not exist'],
  ])('%j is refused', async (options, message) => {
    await expect(evaluate(counting, random, options)).rejects.toThrow(message);
  });

  test('a limit above the size of the split means the whole split', async () => {
    const small = { ...counting, splits: { ...counting.splits, test: 5 } };
    expect((await evaluate(small, random, { split: 'test', limit: 1000 })).summary.n).toBe(5);
  });

  test('a solver that fails is named with the sample, and what was answered before is kept', async () => {
    const failing: Solver = {
      name: 'fragile',
      answer: async ({ index }) => {
        if (index === 2) throw new Error('out of memory');
        return { text: '3' };
      },
    };
    const kept: string[] = [];
    await expect(
      evaluate(counting, failing, {
        split: 'test',
        limit: 5,
        onSample: ({ id }) => {
          kept.push(id);
        },
      }),
    ).rejects.toThrow('fragile failed on counting/test/2: out of memory');
    expect(kept).toEqual(['counting/test/0', 'counting/test/1']);
  });
});

test('a summary of nothing is finite', () => {
  expect(summarize(counting, [])).toEqual({
    n: 0,
    correct: 0,
    accuracy: 0,
    interval: { low: 0, high: 1, confidence: 0.95, method: 'wilson' },
    chance: counting.chance,
    modalShare: 0,
    modalPredictionShare: 0,
    unparsed: 0,
    perClass: {},
    predictionHistogram: {},
  });
});
