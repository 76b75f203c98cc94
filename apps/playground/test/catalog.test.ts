import { existsSync, readFileSync } from 'node:fs';
import { counting } from '@mindseye/eval';
import { expect, test } from 'vitest';
import { catalogOf } from '../src/state/catalog.js';
import { sceneNumber } from '../src/state/scenes.js';

const PAGE = 'https://example.org/playground/';

test('a model is there when its configuration is', () => {
  const files = [
    'models/tiny-livr/config.json',
    'models/tiny-livr/adapter/adapter_config.json',
    'models/other/config.json',
  ];
  expect(catalogOf({ files }, PAGE).model).toEqual({
    kind: 'files',
    base: 'https://example.org/playground/models/tiny-livr/',
    files: ['config.json', 'adapter/adapter_config.json'],
  });
  expect(catalogOf({ files: files.slice(1) }, PAGE).model).toBeNull();
});

test.each([null, 'text', {}, { files: 'config.json' }, { files: [1] }])('%j is no catalog', (json) => {
  expect(() => catalogOf(json, PAGE)).toThrow(/models\/catalog.json has no list "files"/);
});

test('the example pictures have the questions and answers of the samples they show', () => {
  const { pictures } = catalogOf({ files: ['pictures/counting.png', 'pictures/counting.jpg'] }, PAGE);
  expect(pictures.map(({ question, answer }) => ({ question, answer }))).toEqual(
    [2, 7].map((index) => {
      const { question, answer } = counting.describe('test', index);
      return { question, answer };
    }),
  );
});

test('the build carries every file of the examples that its catalog lists', () => {
  const inBuild = (name: string) => new URL(`../dist/${name}`, import.meta.url);
  const { files } = JSON.parse(readFileSync(inBuild('models/catalog.json'), 'utf8')) as { files: string[] };
  expect(files).toEqual(expect.arrayContaining(['pictures/counting.jpg', 'pictures/counting.png']));
  expect(files.filter((name) => !existsSync(inBuild(name)))).toEqual([]);
});

test('a scene’s number stays within its split', () => {
  expect([-1, 0, 12.7, 1999, 2000, Infinity, NaN].map(sceneNumber)).toEqual([0, 0, 12, 1999, 1999, 0, 0]);
});
