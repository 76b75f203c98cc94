import { describe, expect, test } from 'vitest';
import type { TaskDefinition } from '../src/index.js';
import {
  constantProbe,
  counting,
  greyImageProbe,
  inkOf,
  inkProbe,
  questionOnlyProbe,
  targetColorInk,
} from '../src/index.js';
import { cellReader } from './support/cell-reader.js';

describe('counting cannot be answered', () => {
  test('by a constant', () => {
    const result = constantProbe(counting);
    expect(result.n).toBe(1000);
    // The splits are balanced, so the best constant answer gains at most one item in 1,000.
    expect(result.accuracy).toBeCloseTo(counting.chance, 2);
    expect(result.passed).toBe(true);
  });

  test('from the question alone', () => {
    expect(questionOnlyProbe(counting)).toMatchObject({ n: 1000, passed: true });
  });

  test('from a grey image, by a solver that answers every item when it sees', async () => {
    expect(await greyImageProbe(counting, cellReader)).toMatchObject({ n: 1000, passed: true });
  });

  test('from the amount of ink', () => {
    expect(inkProbe(counting)).toMatchObject({ n: 1000, passed: true });
  });
});

test('documented exception: knowing the asked colour and its ink, but no shape, answers about 30 %', () => {
  // A quarter of the distractors share the colour, so colour alone tells much and a model must beat this to have seen shapes.
  const { accuracy } = inkProbe(counting, {}, targetColorInk);
  expect(accuracy).toBeGreaterThan(0.2);
  expect(accuracy).toBeLessThan(0.4);
});

describe('the probes find a shortcut where there is one', () => {
  const TRIAL = { train: 200, test: 200 };
  const leaking = (changes: Pick<TaskDefinition, 'describe' | 'generate'>): TaskDefinition => ({
    ...counting,
    ...changes,
  });

  test('in the prior', () => {
    const skewed = leaking({
      describe: (split, index) => ({ ...counting.describe(split, index), answer: index % 3 === 0 ? '4' : '7' }),
      generate: counting.generate,
    });
    expect(constantProbe(skewed, TRIAL).passed).toBe(false);
  });

  test('in the question', () => {
    const telling = leaking({
      describe: (split, index) => {
        const sample = counting.describe(split, index);
        return { ...sample, question: `Hint: ${sample.answer}` };
      },
      generate: counting.generate,
    });
    expect(questionOnlyProbe(telling, TRIAL).accuracy).toBe(1);
  });

  test('in the ink', () => {
    const inky = leaking({
      describe: counting.describe,
      generate: (split, index) => {
        const sample = counting.generate(split, index);
        const data = new Uint8Array(sample.image.data.length).fill(200);
        for (let pixel = 0; pixel < 100 * Number(sample.answer); pixel++) data[3 * pixel] = 0;
        return { ...sample, image: { ...sample.image, data } };
      },
    });
    expect(inkOf(inky.generate('test', 0).image)).toBe(100 * Number(counting.describe('test', 0).answer));
    expect(inkProbe(inky, TRIAL).accuracy).toBeGreaterThan(0.8);
  });
});
