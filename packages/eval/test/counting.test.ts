import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Split } from '../src/index.js';
import {
  CELL_PIXELS,
  COUNTS,
  GRID,
  SPLITS,
  cellsOf,
  correlation,
  counting,
  inkOf,
  kindNamePlural,
  renderScene,
  sameKind,
  sceneHash,
  splitOfScene,
} from '../src/index.js';
import { SHAPE_GEOMETRY } from '../src/raster/shapes.js';
import { namedStream } from '../src/random/item-stream.js';

const anyItem = fc
  .constantFrom<Split>(...SPLITS)
  .chain((split) => fc.record({ split: fc.constant(split), index: fc.nat(counting.splits[split] - 1) }));

const described = (split: Split, count: number) =>
  Array.from({ length: count }, (_, index) => counting.describe(split, index));

describe('a counting sample', () => {
  test('asks for the objects of one kind, and its answer is their number in the scene', () => {
    fc.assert(
      fc.property(anyItem, ({ split, index }) => {
        const { id, question, answer, metadata } = counting.describe(split, index);
        const { target, scene } = metadata;
        if (target === undefined) throw new Error('a counting sample has a target');
        expect(id).toBe(`counting/${split}/${index}`);
        expect(question).toBe(`How many ${kindNamePlural(target)} are there in the image?`);
        expect(answer).toBe(String(scene.objects.filter((object) => sameKind(object, target)).length));
        expect(COUNTS).toContain(answer);
        expect(counting.parse(answer)).toBe(answer);
        expect(counting.score(answer, { answer })).toBe(1);
      }),
      { numRuns: 300 },
    );
  });

  test('is the same whenever and after whatever else it is generated, and its image follows from its scene graph', () => {
    fc.assert(
      fc.property(anyItem, anyItem, ({ split, index }, other) => {
        const first = counting.generate(split, index);
        counting.generate(other.split, other.index);
        expect(counting.generate(split, index)).toStrictEqual(first);
        const { image, ...rest } = first;
        expect(counting.describe(split, index)).toStrictEqual(rest);
        const scene: typeof first.metadata.scene = JSON.parse(JSON.stringify(first.metadata.scene));
        const noise = namedStream(counting.version, 'counting', split, index, 'noise').seed;
        expect(renderScene(scene, noise)).toStrictEqual(image);
      }),
      { numRuns: 20 },
    );
  });

  test('shows a scene that belongs to its split, each object within its own cell', () => {
    fc.assert(
      fc.property(anyItem, ({ split, index }) => {
        const { metadata } = counting.describe(split, index);
        expect(sceneHash(cellsOf(metadata.scene))).toBe(metadata.sceneHash);
        expect(splitOfScene(metadata.sceneHash)).toBe(split);
        expect(new Set(metadata.scene.objects.map(({ cell }) => cell)).size).toBe(metadata.scene.objects.length);
        for (const { cell, x, y, size, tilt, shape } of metadata.scene.objects) {
          const { halfWidth, halfHeight } = SHAPE_GEOMETRY[shape];
          const sine = Math.abs(Math.sin(2 * Math.atan(tilt)));
          const fromCentreX = Math.abs(x - ((cell % GRID) + 0.5) * CELL_PIXELS);
          const fromCentreY = Math.abs(y - (Math.floor(cell / GRID) + 0.5) * CELL_PIXELS);
          expect(fromCentreX + size * (halfWidth + halfHeight * sine)).toBeLessThan(CELL_PIXELS / 2 + 0.1);
          expect(fromCentreY + size * (halfHeight + halfWidth * sine)).toBeLessThan(CELL_PIXELS / 2 + 0.1);
          expect(size).toBeGreaterThan(11);
          expect(size).toBeLessThan(16.6);
        }
      }),
      { numRuns: 300 },
    );
  });

  test.each([-1, 2000, 0.5, Number.NaN])('with index %s is refused by name', (index) => {
    expect(() => counting.generate('test', index)).toThrow(`counting: index ${index} is outside the test split`);
  });

  test('of a split that does not exist is refused by name', () => {
    const split: string = 'dev';
    expect(() => counting.describe(split as Split, 0)).toThrow('counting: there is no split "dev"');
  });
});

describe('the counting splits', () => {
  test.each(SPLITS)('%s: every nine consecutive items hold each count once', (split) => {
    const answers = described(split, 900).map(({ answer }) => answer);
    for (let block = 0; block < 900; block += 9) {
      expect(answers.slice(block, block + 9).toSorted((a, b) => Number(a) - Number(b))).toEqual(COUNTS);
    }
    expect(answers.slice(0, 9)).not.toEqual(answers.slice(9, 18));
  });

  test('neither the number of objects nor the ink tells the count', () => {
    const samples = described('train', 10_000);
    const counts = samples.map(({ answer }) => Number(answer));
    const totals = samples.map(({ metadata }) => metadata.scene.objects.length);
    const areas = samples.map(({ metadata }) => metadata.scene.objects.reduce((sum, { size }) => sum + size * size, 0));
    expect(Math.min(...totals)).toBe(10);
    expect(Math.max(...totals)).toBe(16);
    expect(Math.abs(correlation(counts, totals))).toBeLessThan(0.04);
    expect(Math.abs(correlation(counts, areas))).toBeLessThan(0.04);
    expect(Math.abs(correlation(totals, areas))).toBeLessThan(0.04);
  });

  test('the ink of the rendered pixels does not tell the count either', () => {
    const samples = Array.from({ length: 1500 }, (_, index) => counting.generate('train', index));
    const inks = samples.map(({ image }) => inkOf(image));
    expect(
      Math.abs(
        correlation(
          samples.map(({ answer }) => Number(answer)),
          inks,
        ),
      ),
    ).toBeLessThan(0.05);
  });

  test('half of the distractors share the shape or the colour of the target, never both', () => {
    let distractors = 0;
    let sharing = 0;
    for (const { metadata } of described('train', 3000)) {
      const { target, scene } = metadata;
      if (target === undefined) throw new Error('a counting sample has a target');
      const others = scene.objects.filter((object) => !sameKind(object, target));
      const alike = others.filter(({ shape, color }) => shape === target.shape || color === target.color);
      expect(Math.abs(2 * alike.length - others.length)).toBeLessThanOrEqual(1);
      distractors += others.length;
      sharing += alike.length;
    }
    expect(sharing / distractors).toBeCloseTo(0.5, 1);
  });

  test('each of the twenty kinds is asked for about equally often', () => {
    const asked = Map.groupBy(described('train', 4000), ({ question }) => question);
    expect(asked.size).toBe(20);
    for (const samples of asked.values()) expect(Math.abs(samples.length - 200)).toBeLessThan(70);
  });
});
