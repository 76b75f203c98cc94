import { describe, expect, test } from 'vitest';
import type { Condition, LatentSolver, Sample, SampleRecord, TaskDefinition } from '../src/index.js';
import {
  CONDITIONS,
  COUNTS,
  bottleneckReport,
  bottleneckTest,
  conditionResult,
  counting as generatedCounting,
  evaluate,
  latentRemovalReport,
  latentRemovalTest,
} from '../src/index.js';
import { namedStream } from '../src/random/item-stream.js';

/** The counting task, each of whose samples is rendered once for all tests of this file. */
const rendered = new Map<string, Sample>();
const counting: TaskDefinition = {
  ...generatedCounting,
  generate(split, index) {
    const key = `${split}/${index}`;
    const sample = rendered.get(key) ?? generatedCounting.generate(split, index);
    rendered.set(key, sample);
    return sample;
  },
};

const OPTIONS = { split: 'test', limit: 450 } as const;

/**
 * A solver whose mechanism is known: under each condition it sees the answer with the given probability and otherwise says "6".
 * Whether it sees an item is drawn once per item, so that a condition with a lower probability is right on a subset.
 */
function mechanism(name: string, sees: Readonly<Record<Condition, number>>): LatentSolver {
  return {
    name,
    conditions: CONDITIONS,
    answer: async (sample, { condition }) => {
      const luck = namedStream('mechanism', sample.id).uniform();
      return { text: luck < sees[condition] ? sample.answer : '6' };
    },
  };
}

/** Latents carry most of what is seen. */
const throughLatents = mechanism('through latents', {
  standard: 0.6,
  'no-latents': 0.3,
  bottleneck: 0.4,
  'bottleneck-no-latents': 0,
});

/** Latents are there and do nothing. */
const pastLatents = mechanism('past latents', {
  standard: 0.6,
  'no-latents': 0.6,
  bottleneck: 0,
  'bottleneck-no-latents': 0,
});

/** The mask lets the image through. */
const leaking = mechanism('leaking', {
  standard: 0.6,
  'no-latents': 0.6,
  bottleneck: 0.6,
  'bottleneck-no-latents': 0.3,
});

describe('latent removal', () => {
  test('finds latents that are used, and says by how much', async () => {
    const report = await latentRemovalTest(counting, throughLatents, OPTIONS);
    expect(report.verdict).toBe('used');
    expect(report.standard.aboveReference).toBe(true);
    expect(report.paired.n).toBe(450);
    expect(report.paired.onlySecond).toBe(0);
    expect(report.paired.difference).toBeCloseTo(
      report.standard.summary.accuracy - report.noLatents.summary.accuracy,
      12,
    );
    expect(report.paired.pValue).toBeLessThan(1e-6);
    expect(report.text).toMatch(
      /^The answers use the latents: without them accuracy falls by \d+\.\d points \(\d+\.\d % \[\d+\.\d, \d+\.\d\] with, .* without, n = 450, p < 0\.001\)\.$/,
    );
  });

  test('finds nothing where the answers go past the latents', async () => {
    const report = await latentRemovalTest(counting, pastLatents, OPTIONS);
    expect(report).toMatchObject({ verdict: 'not-shown', paired: { difference: 0, pValue: 1 } });
    expect(report.text).toContain('No use of the latents is shown: without them accuracy changes by 0.0 points');
  });

  test('says so where latents do harm', async () => {
    const harmed = mechanism('harmed', { standard: 0.3, 'no-latents': 0.6, bottleneck: 0, 'bottleneck-no-latents': 0 });
    expect((await latentRemovalTest(counting, harmed, OPTIONS)).verdict).toBe('harmful');
  });

  test('says nothing of a model that does not solve the task, even if removal breaks its answers', async () => {
    const constant = mechanism('constant', { standard: 0, 'no-latents': 0, bottleneck: 0, 'bottleneck-no-latents': 0 });
    expect((await latentRemovalTest(counting, constant, OPTIONS)).verdict).toBe('unsolved');
    const broken: LatentSolver = {
      ...constant,
      answer: async (_, { condition }) => ({ text: condition === 'standard' ? '6' : 'six or seven' }),
    };
    const report = await latentRemovalTest(counting, broken, OPTIONS);
    expect(report.paired.pValue).toBeLessThan(0.001);
    expect(report.verdict).toBe('unsolved');
  });
});

describe('the bottleneck test', () => {
  test('finds what the latents carry', async () => {
    const report = await bottleneckTest(counting, throughLatents, OPTIONS);
    expect(report.verdict).toBe('carried');
    expect(report.bottleneck.excess).toBeGreaterThan(3 * report.bottleneck.standardError);
    expect(report.bottleneckNoLatents).toMatchObject({ excess: 0, aboveReference: false });
    expect(report.standardAgainstBottleneck.difference).toBeGreaterThan(0.1);
    expect(report.text).toMatch(
      /^The latents carry what was seen: .* best constant answer 11\.1 %, n = 450, latents against none p < 0\.001\)\.$/,
    );
  });

  test('finds nothing where the answers go past the latents', async () => {
    const report = await bottleneckTest(counting, pastLatents, OPTIONS);
    expect(report.verdict).toBe('not-carried');
    expect(report.bottleneck.summary.modalPredictionShare).toBe(1);
    expect(report.text).toContain('The latents do not carry the answer');
  });

  test('is not taken in by a mask that leaks', async () => {
    expect((await bottleneckTest(counting, leaking, OPTIONS)).verdict).toBe('leak');
  });

  test('is not taken in by an unbalanced split: the reference is the modal share, not chance', async () => {
    const skewed = {
      ...counting,
      generate: (...[split, index]: Parameters<typeof counting.generate>) => {
        const sample = counting.generate(split, index);
        return index % 2 === 0 ? { ...sample, answer: '6' } : sample;
      },
    };
    const { records } = await evaluate(skewed, pastLatents, { ...OPTIONS, condition: 'bottleneck' });
    const result = conditionResult(counting, 'bottleneck', records);
    expect(result.summary.accuracy).toBeGreaterThan(0.5);
    expect(result.reference).toBe(result.summary.modalShare);
    expect(result.aboveReference).toBe(false);
  });

  test('does not take a few lucky samples for certainty', async () => {
    const lucky = mechanism('lucky', { standard: 1, 'no-latents': 1, bottleneck: 1, 'bottleneck-no-latents': 0 });
    const { records } = await evaluate(counting, lucky, { split: 'test', limit: 1 });
    expect(conditionResult(counting, 'bottleneck', records).aboveReference).toBe(false);
  });
});

describe('both tests', () => {
  test('ask a condition that they share only once when records are handed on', async () => {
    const asked: Record<string, number> = {};
    const kept: Partial<Record<Condition, SampleRecord[]>> = {};
    const onSample = (record: SampleRecord, condition: Condition): void => {
      asked[condition] = (asked[condition] ?? 0) + 1;
      (kept[condition] ??= []).push(record);
    };
    const options = { split: 'test', limit: 9, onSample } as const;
    await latentRemovalTest(counting, throughLatents, options);
    const report = await bottleneckTest(counting, throughLatents, { ...options, resumeFrom: kept });
    expect(asked).toEqual({ standard: 9, 'no-latents': 9, bottleneck: 9, 'bottleneck-no-latents': 9 });
    expect(report.standard.summary.n).toBe(9);
    const again = bottleneckReport(counting, {
      standard: kept.standard ?? [],
      bottleneck: kept.bottleneck ?? [],
      'bottleneck-no-latents': kept['bottleneck-no-latents'] ?? [],
    });
    expect(again).toEqual(report);
  });

  test('refuse a solver that does not honour a condition, before asking anything', async () => {
    const plain: LatentSolver = {
      name: 'plain',
      conditions: ['standard'],
      answer: async () => {
        throw new Error('it was asked');
      },
    };
    await expect(bottleneckTest(counting, plain, OPTIONS)).rejects.toThrow(
      'plain cannot answer under "bottleneck", only under standard',
    );
  });

  test('refuse to compare records of different samples', async () => {
    const standard = (await evaluate(counting, throughLatents, { split: 'test', limit: 3 })).records;
    const other = (await evaluate(counting, throughLatents, { split: 'validation', limit: 3 })).records;
    expect(() => latentRemovalReport(counting, { standard, 'no-latents': other })).toThrow(
      'the two conditions were not asked the same from counting/test/0 on',
    );
    expect(() => latentRemovalReport(counting, { standard, 'no-latents': standard.slice(1) })).toThrow(
      'were not asked the same',
    );
    expect(COUNTS).toContain(standard[0]?.gold);
  });
});
