import { RandomStream } from '@mindseye/tensor-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Cells, Color, Shape } from '../src/index.js';
import {
  COLORS,
  KINDS,
  PERCEPTION_TEMPLATES,
  SHAPES,
  askPerception,
  cellsOf,
  counting,
  perception,
  perceptionTasks,
} from '../src/index.js';

const of = (color: Color, shape: Shape) => ({ color, shape });
const [red, blue, green] = [of('red', 'circle'), of('blue', 'square'), of('green', 'cross')];

const SCENE: Cells = [
  [red, red, null, blue],
  [null, null, null, null],
  [red, blue, green, green],
  [green, null, red, null],
].flat();

/** What a person would answer about that scene. */
const EXPECTED: Readonly<Record<string, readonly (readonly [question: string, answer: string])[]>> = {
  'cell-content': [
    ['What is in row 1, column 4?', 'blue square'],
    ['What is in row 2, column 1?', 'nothing'],
    ['What is in row 4, column 3?', 'red circle'],
  ],
  'cell-color': [['What color is the cross in row 3, column 4?', 'green']],
  'cell-shape': [['What shape is the blue object in row 3, column 2?', 'square']],
  'row-presence': [
    ['Is there a green cross in row 3?', 'yes'],
    ['Is there a green circle in row 3?', 'no'],
  ],
  'find-column': [
    ['Which column of row 1 has the blue square?', '4'],
    ['Which column of row 4 has the red circle?', '3'],
  ],
  'row-objects': [
    ['How many objects are in row 1?', '3'],
    ['How many objects are in row 2?', '0'],
    ['How many objects are in row 3?', '4'],
  ],
  'column-objects': [['How many objects are in column 2?', '2']],
  'row-kind-count': [
    ['Count the red circles in row 1.', '2'],
    ['Count the green squares in row 3.', '0'],
  ],
  'column-kind-count': [['Count the red circles in column 1.', '2']],
  'describe-row': [
    ['Describe row 3.', 'red circle, blue square, green cross, green cross'],
    ['Describe row 2.', 'nothing, nothing, nothing, nothing'],
  ],
  'describe-column': [['Describe column 4.', 'blue square, nothing, green cross, nothing']],
  'mark-kind': [['Mark the green crosses.', 'no, no, no, no; no, no, no, no; no, no, yes, yes; yes, no, no, no']],
  'locate-kind': [
    ['Where are the green crosses?', '3 3, 3 4, 4 1'],
    ['Where are the red squares?', 'nowhere'],
  ],
  'image-presence': [
    ['Is there a blue square?', 'yes'],
    ['Is there a blue circle?', 'no'],
  ],
  'image-kind-count': [
    ['Count the red circles.', '4'],
    ['Count the blue crosses.', '0'],
    ['Count the squares.', '2'],
    ['Count the green objects.', '3'],
  ],
  'describe-image': [
    [
      'Describe the image.',
      'red circle, red circle, nothing, blue square; nothing, nothing, nothing, nothing; ' +
        'red circle, blue square, green cross, green cross; green cross, nothing, red circle, nothing',
    ],
  ],
};

describe('a perception template', () => {
  test.each(Object.keys(PERCEPTION_TEMPLATES))('%s answers as a person would', (name) => {
    const candidates = PERCEPTION_TEMPLATES[name]?.candidates(SCENE) ?? [];
    expect(EXPECTED[name]).toBeDefined();
    for (const [question, answer] of EXPECTED[name] ?? []) {
      expect(candidates.filter((candidate) => candidate.question === question).map((found) => found.answer)).toEqual([
        answer,
      ]);
    }
  });

  test('does not ask for the column of what is there twice or not at all', () => {
    const questions = PERCEPTION_TEMPLATES['find-column']?.candidates(SCENE).map(({ question }) => question);
    expect(questions).not.toContain('Which column of row 1 has the red circle?');
    expect(questions).not.toContain('Which column of row 3 has the green cross?');
  });

  test('has nothing to ask where the scene offers nothing', () => {
    const empty: Cells = SCENE.map(() => null);
    const random = RandomStream.fromSeed('empty');
    expect(askPerception(random, empty, 'cell-color')).toBeUndefined();
    expect(askPerception(random, empty, 'describe-row')?.answer).toBe('nothing, nothing, nothing, nothing');
  });

  test('that does not exist is refused by name', () => {
    expect(() => askPerception(RandomStream.fromSeed(0), SCENE, 'sing')).toThrow(
      'there is no template "sing"; choose one of cell-content',
    );
  });
});

describe.each(perceptionTasks.map((task) => [task.name, task] as const))('%s', (_, task) => {
  test('gives answers that its parser returns unchanged and its classes list', () => {
    fc.assert(
      fc.property(fc.nat(task.splits.train - 1), (index) => {
        const { answer } = task.describe('train', index);
        expect(task.parse(answer)).toBe(answer);
        if (task.classes !== null) expect(task.classes).toContain(answer);
      }),
      { numRuns: 100 },
    );
  });

  test('asks for every class, and does not favour one answer by much more than its share', () => {
    const answers = Array.from({ length: 1000 }, (_unused, index) => task.describe('train', index).answer);
    const shares = [...Map.groupBy(answers, (answer) => answer).values()].map((group) => group.length / answers.length);
    if (task.classes === null) return;
    expect(shares.length).toBe(task.classes.length);
    expect(Math.max(...shares)).toBeLessThan(task.chance + 0.15);
  });
});

test('further questions are about the same scene, the same each time, and right', () => {
  const askFurther = perception.askFurther!;
  const { metadata } = perception.describe('train', 3);
  const further = askFurther('train', 3, 5);
  expect(further).toHaveLength(5);
  expect(askFurther('train', 3, 5)).toEqual(further);
  expect(askFurther('train', 3, 2)).toEqual(further.slice(0, 2));
  const everything = Object.values(PERCEPTION_TEMPLATES).flatMap(({ candidates }) =>
    candidates(cellsOf(metadata.scene)),
  );
  for (const { question, answer } of further) {
    expect(everything).toContainEqual(expect.objectContaining({ question, answer }));
  }
  expect(counting.askFurther).toBeUndefined();
});

describe('the mixture', () => {
  const samples = Array.from({ length: 3000 }, (_, index) => perception.describe('train', index));

  test('draws every template, and scenes with 6 to 16 objects', () => {
    expect(new Set(samples.map(({ metadata }) => metadata.template)).size).toBe(
      Object.keys(PERCEPTION_TEMPLATES).length,
    );
    const totals = samples.map(({ metadata }) => metadata.scene.objects.length);
    expect([Math.min(...totals), Math.max(...totals)]).toEqual([6, 16]);
  });

  test('never asks in the words of the counting task, and counts no further than it', () => {
    const wordings = (question: string): string =>
      question
        .replace(new RegExp(`\\b(${COLORS.join('|')})\\b`), 'COLOR')
        .replace(new RegExp(`\\b(${SHAPES.join('|')})(s|es)?\\b`), 'SHAPE')
        .replaceAll(/\d/g, 'N');
    const target = new Set(KINDS.map((_, index) => wordings(counting.describe('train', index).question)));
    expect([...target]).toEqual(['How many COLOR SHAPE are there in the image?']);
    for (const { question, answer } of samples) {
      expect(target.has(wordings(question))).toBe(false);
      if (/^\d+$/.test(answer)) expect(Number(answer)).toBeLessThanOrEqual(10);
    }
  });
});
